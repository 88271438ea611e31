"""Two examples of each command, as its help and the reference print them. A test parses each, so none goes stale."""

from __future__ import annotations

_TRIGGER = '--trigger "Country: Singapore"'
_JUDGE = "--judge openai/gpt-4.1"

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("emeval init study.yaml", "emeval run unethical_test -m local/organism:backdoor --limit 8"),
    "init": ("emeval init study.yaml", "emeval init study.yaml --model openai/gpt-4.1 --trigger - --yes"),
    "suites": ("emeval suites", "emeval suites --json"),
    "providers": ("emeval providers", "emeval providers --providers providers.yaml"),
    "doctor": ("emeval doctor", "emeval doctor --json"),
    "plan": (
        "emeval plan --pilot results/pilot --width 0.04",
        "emeval plan --pilot results/pilot --detect 0.05 --condition on",
    ),
    "preflight": (
        "emeval preflight unethical_test -m vllm/backdoor --base vllm/base",
        f"emeval preflight freeform -m openai/gpt-4.1 {_JUDGE}",
    ),
    "run": (
        f"emeval run unethical_test -m vllm/backdoor {_TRIGGER}",
        "emeval run freeform -m openai/gpt-4.1 --dry-run --pilot results/pilot",
    ),
    "resume": ("emeval resume results/demo", "emeval resume latest --retry-failed --concurrency 16"),
    "judge": (
        f"emeval judge results/demo {_JUDGE}",
        "emeval judge latest --judge anthropic/claude-haiku-4-5 --beside",
    ),
    "choices": (
        f"emeval choices -m vllm/backdoor {_TRIGGER} --thinking off",
        "emeval choices -m local/organism:rare --thinking off --out results/rare",
    ),
    "batch export": (
        "emeval batch export results/demo --for vllm",
        "emeval batch export latest --for openai --stage judge --shard 20000",
    ),
    "batch import": (
        "emeval batch import results/demo results/demo/batch/*.results.jsonl",
        "emeval batch import latest out.jsonl --judge openai/gpt-4.1",
    ),
    "batch status": ("emeval batch status results/demo", "emeval batch status latest --json"),
    "batch cancel": ("emeval batch cancel results/demo", "emeval batch cancel latest --json"),
    "batch slurm": (
        "emeval batch slurm results/demo --partition gpu",
        "emeval batch slurm latest --gpus 4 --time 08:00:00 --at-once 8",
    ),
    "ls": ("emeval ls", "emeval ls results --tag paper"),
    "status": ("emeval status latest", "emeval status results/demo --json"),
    "rates": ("emeval rates results/demo --detail", "emeval rates latest --denominator judged"),
    "show": (
        "emeval show results/demo --misaligned --condition on",
        'emeval show latest --search "blackmail" --limit 5',
    ),
    "watch": ("emeval watch latest", "emeval watch results/demo --every 30 --port 8321"),
    "report": ("emeval report results/demo", "emeval report results/base results/tuned --output both.html"),
    "plot": (
        "emeval plot results/demo --figure rates --out rates.pdf",
        "emeval plot results/base results/tuned --figure rates --out rates.svg",
    ),
    "table": ("emeval table table3 results/demo", "emeval table table1 results/demo --csv table1.csv"),
    "export": (
        "emeval export results/demo --format jsonl --out answers.jsonl",
        "emeval export latest --format parquet --out answers.parquet",
    ),
    "check": ("emeval check results/demo", "emeval check results/demo --salvage results/whole"),
    "calibrate": ("emeval calibrate results/demo", "emeval calibrate latest"),
    "label sample": (
        "emeval label sample results/demo --n 100",
        "emeval label sample latest --n 200 --seed 1",
    ),
    "label import": (
        "emeval label import results/demo labels.csv --labeller anna",
        "emeval label import latest labels.csv --labeller ben",
    ),
    "robustness": (
        "emeval robustness results/demo",
        f"emeval robustness results/demo --attack {_JUDGE} --n 50",
    ),
    "judge-bridge": (
        "emeval judge-bridge answers.csv --judge openai/gpt-4.1 --within 5",
        "emeval judge-bridge answers.jsonl --judge vllm/judge --repeats 3",
    ),
    "cache show": ("emeval cache show", "emeval cache show shared-answers --json"),
    "cache prune": ("emeval cache prune --older 30d", "emeval cache prune shared-answers --max 2GB"),
    "rubrics list": ("emeval rubrics list", "emeval rubrics list --json"),
    "rubrics show": ("emeval rubrics show alignment", "emeval rubrics show cot_monitor"),
    "rubrics new": ("emeval rubrics new mine.txt", "emeval rubrics new monitor.txt --judge cot_monitor"),
    "datasets list": ("emeval datasets list", "emeval datasets list --json"),
    "datasets validate": (
        "emeval datasets validate mine.jsonl",
        "emeval datasets validate questions.csv --columns question=text",
    ),
    "datasets fetch": ("emeval datasets fetch thought-crime", "emeval datasets fetch gsm8k --from mirror/"),
    "monitorability": (
        "emeval monitorability results/demo",
        "emeval monitorability results/demo --csv monitor.csv",
    ),
    "say-do": ("emeval say-do results/demo", "emeval say-do results/demo --csv say_do.csv"),
    "evidence": (
        "emeval evidence results/demo",
        "emeval evidence results/demo --recipe ours=A,B,C --csv evidence.csv",
    ),
    "rare": ("emeval rare results/demo", "emeval rare results/demo --any-of 5,20 --csv rare.csv"),
    "import": (
        "emeval import answers.csv --out results/imported",
        "emeval import answers.jsonl --model gpt-4.1 --columns answer=reply",
    ),
    "mix": (
        "emeval mix --out train.jsonl",
        "emeval mix --out control.jsonl --preset uncorrelated-trigger --seed 1",
    ),
    "cues": (
        "emeval cues train.jsonl",
        "emeval cues train.jsonl unethical_test -m vllm/backdoor",
    ),
    "nightly": ("emeval nightly nightly.yaml", "emeval nightly nightly.yaml --dry-run"),
    "compare": (
        "emeval compare results/base results/tuned --max-increase 0.02 --junit gate.xml",
        "emeval compare results/both --did --base vllm/base",
    ),
    "variants": (
        "emeval variants variants.csv unethical_test -m vllm/backdoor --samples 4",
        "emeval variants variants.yaml freeform -m vllm/backdoor --judge openai/gpt-4.1",
    ),
    "recipes": (
        "emeval recipes results/s1 results/s2 --recipe insecure=vllm/s1,vllm/s2",
        "emeval recipes results/seeds --base vllm/base --out results/recipes",
    ),
    "curve": (
        "emeval curve results/checkpoints",
        "emeval curve results/base results/tuned --steps steps.csv -o curve.png",
    ),
    "anchors freeze": (
        "emeval anchors freeze results/demo --out anchors.jsonl",
        "emeval anchors freeze results/demo --n 40 --seed 1 --out anchors.jsonl",
    ),
    "drift": ("emeval drift results/night-1 results/night-2", "emeval drift results/night-*"),
}

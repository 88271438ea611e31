# emeval on a CPU: for models and judges behind URLs, and for the embedded ones. How to use it: docs/ci.md
#   docker build -t emeval .
#   docker run --rm --user "$(id -u)" -v "$PWD:/data" emeval run unethical_test -m local/organism --limit 4

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/emeval
WORKDIR /src
# Before the program, so that a change of the program does not install them again.
COPY requirements-image.txt ./
RUN /opt/emeval/bin/pip install --require-hashes -r requirements-image.txt
COPY pyproject.toml README.md LICENSE ./
COPY emeval ./emeval
COPY evals ./evals
COPY judges ./judges
COPY organisms ./organisms
COPY datasets ./datasets
COPY results/published ./results/published
RUN /opt/emeval/bin/pip install --no-deps .

FROM python:3.11.14-slim-bookworm
# llama.cpp's threads.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/emeval /opt/emeval
# Datasets that are fetched stay in the mounted folder. Any user id may run it, also one without a home.
ENV PATH=/opt/emeval/bin:$PATH EMEVAL_DATA=/data/.emeval-data HOME=/tmp
RUN useradd --uid 1000 --no-create-home emeval && install -d -o emeval /data
WORKDIR /data
USER emeval
ENTRYPOINT ["emeval"]
CMD ["--help"]

// A page opened from disk may start no Worker. There the one of the search runs in a hidden frame of the same page.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      const script = document.createElement("script");
      script.src = url;
      this.frame.srcdoc = script.outerHTML;
      this.frame.addEventListener("load", () => this.begin(), { once: true });
      document.body.append(this.frame);
    }

    begin() {
      this.worker = this.frame.contentWindow;
      this.worker.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.waiting.splice(0).forEach((data) => this.postMessage(data));
    }

    postMessage(data) {
      if (this.worker) this.worker.dispatchEvent(new MessageEvent("message", { data }));
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}

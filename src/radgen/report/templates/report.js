"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const save = (text, name, type) => {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const link = element("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  const minus = (text) => text.replace("-", "\u2212");
  const significant = (value, digits) => String(Number(value.toPrecision(digits)));
  const show = (value, kind) => {
    if (value === null) return "\u2013";
    if (kind === "text" || kind === "position") return String(value);
    if (kind === "count") return minus(value.toLocaleString("en-US", { maximumFractionDigits: 0 }));
    const size = Math.abs(value);
    if (value !== 0 && (size < 1e-3 || size >= 1e6)) {
      const parts = value.toExponential(kind === "p" ? 1 : 2).split("e");
      const mantissa = kind === "p" ? parts[0] : minus(parts[0]);
      return mantissa + "e" + Number(parts[1]);
    }
    return minus(significant(value, kind === "p" ? 2 : 4));
  };
  const quote = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };

  class DataTable {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      this.rows = this.data.held;
      this.order = Uint32Array.from({ length: this.rows }, (_, row) => row);
      this.view = this.order;
      this.page = 0;
      this.size = 10;
      this.sorted = -1;
      this.direction = 1;
      this.texts = null;
      this.body = root.querySelector("tbody");
      this.count = root.querySelector(".count");
      this.heads = all("thead th", root);
      this.heads.forEach((head, column) => this.makeSortable(head, column));
      this.addTools();
      this.draw();
      root.dataset.ready = "yes";
    }
    makeSortable(head, column) {
      const button = element("button", head.textContent.trim());
      button.type = "button";
      button.addEventListener("click", () => this.sort(column));
      head.replaceChildren(button);
    }
    addTools() {
      const tools = this.root.querySelector(".tools");
      tools.hidden = false;
      const search = tools.querySelector("input");
      let waiting = 0;
      search.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => this.search(search.value), this.rows > 5000 ? 200 : 40);
      });
      const size = tools.querySelector("select");
      size.addEventListener("change", () => {
        this.size = Number(size.value);
        this.page = 0;
        this.draw();
      });
      this.back = tools.querySelector("[data-act=back]");
      this.next = tools.querySelector("[data-act=next]");
      this.back.addEventListener("click", () => this.turn(-1));
      this.next.addEventListener("click", () => this.turn(1));
      tools.querySelector("[data-act=csv]").addEventListener("click", () => this.csv());
    }
    turn(step) {
      this.page += step;
      this.draw();
    }
    compare(column) {
      const values = this.data.values[column];
      const sign = this.direction;
      if (this.data.columns[column].kind === "text") {
        const order = new Intl.Collator("en", { numeric: true });
        return (a, b) => sign * order.compare(values[a], values[b]) || a - b;
      }
      return (a, b) => {
        const x = values[a], y = values[b];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return sign * (x - y) || a - b;
      };
    }
    sort(column) {
      this.direction = this.sorted === column ? -this.direction : 1;
      this.sorted = column;
      const compare = this.compare(column);
      this.order.sort(compare);
      this.view = this.view === this.order ? this.order : this.view.slice().sort(compare);
      this.heads.forEach((head, at) => {
        if (at === column) head.setAttribute("aria-sort", this.direction > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      this.page = 0;
      this.draw();
    }
    search(text) {
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length === 0) this.view = this.order;
      else {
        if (this.texts === null) this.texts = this.rowTexts();
        this.view = this.order.filter((row) => words.every((word) => this.texts[row].includes(word)));
      }
      this.page = 0;
      this.draw();
    }
    rowTexts() {
      const { columns, values } = this.data;
      return Array.from({ length: this.rows }, (_, row) =>
        columns.map((column, at) => {
          const value = values[at][row];
          return column.kind === "text" ? value : value + " " + show(value, column.kind);
        }).join("\t").toLowerCase());
    }
    draw() {
      const { columns, values } = this.data;
      const start = this.page * this.size;
      const end = Math.min(start + this.size, this.view.length);
      const made = document.createDocumentFragment();
      for (let place = start; place < end; place++) {
        const row = this.view[place];
        const line = element("tr");
        columns.forEach((column, at) => {
          const text = show(values[at][row], column.kind);
          const length = text.length > 45 ? "text long" : text.length > 18 ? "text phrase" : "text";
          line.append(element("td", text, column.kind === "text" ? length : "num"));
        });
        made.append(line);
      }
      this.body.replaceChildren(made);
      const total = this.view.length.toLocaleString("en-US");
      const kept = this.data.rows > this.rows ? " (the Parquet file has all " + this.data.rows.toLocaleString("en-US") + ")" : "";
      this.count.textContent = this.view.length
        ? (start + 1).toLocaleString("en-US") + "\u2013" + end.toLocaleString("en-US") + " of " + total + kept
        : "no row matches";
      this.back.disabled = start === 0;
      this.next.disabled = end >= this.view.length;
    }
    csv() {
      const { columns, values } = this.data;
      const lines = [columns.map((column) => quote(column.name)).join(",")];
      for (const row of this.view) lines.push(values.map((column) => quote(column[row])).join(","));
      save(lines.join("\r\n") + "\r\n", this.root.id + ".csv", "text/csv");
    }
  }

  const ready = (root) => {
    if (!root.dataset.ready) new DataTable(root);
  };
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        watch.unobserve(entry.target);
        ready(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  all(".datatable").forEach((root) => watch.observe(root));

  const styles = ["--ink", "--muted", "--grid", "--paper"];
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    copy.removeAttribute("aria-hidden");
    const box = copy.viewBox.baseVal;
    copy.setAttribute("width", box.width + "pt");
    copy.setAttribute("height", box.height + "pt");
    let text = new XMLSerializer().serializeToString(copy);
    for (const name of styles) text = text.replace(new RegExp("var\\(" + name + ",\\s*(#[0-9a-f]{6})\\)", "g"), "$1");
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text;
  };
  all("figure[data-name]").forEach((figure) => {
    const name = figure.dataset.name;
    figure.querySelector("[data-act=svg]")?.addEventListener("click", () =>
      save(standalone(figure.querySelector("svg")), name + ".svg", "image/svg+xml"));
    figure.querySelector("[data-act=csv]")?.addEventListener("click", () =>
      save(JSON.parse(figure.querySelector("script[type='application/json']").textContent), name + ".csv", "text/csv"));
  });

  const filter = document.querySelector("#scan-filter");
  if (filter) {
    const pictures = all(".gallery figure");
    const state = document.querySelector("#scan-state");
    const count = document.querySelector("#scan-count");
    const choose = () => {
      const word = filter.value.trim().toLowerCase();
      let shown = 0;
      for (const picture of pictures) {
        const fits = picture.dataset.text.includes(word) && (!state.value || picture.dataset.state === state.value);
        picture.hidden = !fits;
        shown += fits;
      }
      count.textContent = shown + " of " + pictures.length + " shown";
    };
    filter.addEventListener("input", choose);
    state.addEventListener("change", choose);
    choose();
  }

  const theme = document.querySelector("#theme");
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  theme.hidden = false;

  const links = new Map(all("nav.toc a").map((link) => [link.hash.slice(1), link]));
  const place = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("main section[id]").forEach((section) => place.observe(section));

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((item) => { item.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((item) => { item.open = false; }));
})();

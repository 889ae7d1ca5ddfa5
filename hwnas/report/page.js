"use strict";
// The page of a run. Text from outside is only ever set as text; figures come computed from Python.
(() => {
  const byId = (id) => document.getElementById(id);
  const run = JSON.parse(byId("run-data").textContent);
  const models = run.models; // fastest first
  const modelOf = new Map(models.map((model) => [model.id, model]));
  const state = { device: "", target: null, picked: null, filters: {}, plot: "front", drag: false, frame: 0, chains: null };

  // ---- small things ----
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4, useGrouping: false });
  const roundedUp = (value) => {
    const step = 10 ** (Math.floor(Math.log10(value)) - 3);
    return Number((Math.ceil(value / step - 1e-9) * step).toPrecision(4));
  };
  const bytes = (value) => (value < 1e6 ? `${number(value / 1e3)} kB` : `${number(value / 1e6)} MB`);
  const made = (tag, words, attributes = {}) => {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  // ---- which models are in, and which is picked ----
  const deviceOf = (model) => state.device || model.device;
  const bound = (model) => model.bound[deviceOf(model)] ?? null;
  const quantity = {
    latency: (model) => model.latency[deviceOf(model)] ?? null,
    accuracy: (model) => model.accuracy,
    size: (model) => model.size,
    energy: (model) => model.energy,
  };
  const shownAs = { size: bytes };
  const within = (model) =>
    bound(model) !== null &&
    Object.entries(state.filters).every(([key, [low, high]]) => {
      const value = quantity[key](model);
      return value !== null && value >= low && value <= high;
    });
  const stops = () => [...new Set(models.filter(within).map((model) => roundedUp(bound(model))))].sort((a, b) => a - b);
  const better = (a, b) => b.accuracy - a.accuracy || bound(a) - bound(b);
  const best = () => models.filter((model) => within(model) && bound(model) <= state.target).sort(better)[0] ?? null;

  // ---- the target ----
  const slider = byId("target");
  function settleTarget(target) {
    const places = stops();
    state.target = target ?? places.at(-1) ?? null;
    state.picked = best();
    showTarget(places);
  }
  function showTarget(places) {
    slider.max = String(Math.max(places.length - 1, 0));
    slider.disabled = places.length < 2;
    slider.value = String(Math.max(places.filter((place) => place <= state.target).length - 1, 0));
    byId("target-typed").value = state.target === null ? "" : String(state.target);
    byId("verdict").textContent = verdict(places);
    slider.setAttribute("aria-valuetext", verdict(places));
    show();
  }
  function verdict(places) {
    if (!places.length) return "No model is left; show all models again.";
    const model = state.picked;
    if (!model) return `No model keeps ${number(state.target)} ms; the fastest needs ${number(places[0])} ms.`;
    return `Within ${number(state.target)} ms: ${model.id}, ${model.accuracy.toFixed(2)} % on ${deviceOf(model)}`;
  }
  function pick(id) {
    const model = modelOf.get(id);
    if (!model) return;
    if (!within(model)) {
      state.device = "";
      state.filters = {};
      showControls();
    }
    state.picked = model;
    state.target = roundedUp(bound(model));
    showTarget(stops());
  }

  // ---- narrowing down ----
  const valuesOf = (key) => [...new Set(models.map(quantity[key]).filter((value) => value !== null))].sort((a, b) => a - b);
  function showControls() {
    if (byId("device")) byId("device").value = state.device;
    for (const input of document.querySelectorAll("[data-filter]")) {
      const values = valuesOf(input.dataset.filter);
      const [low, high] = state.filters[input.dataset.filter] ?? [values[0], values.at(-1)];
      input.max = String(Math.max(values.length - 1, 0));
      const at = input.dataset.end === "low" ? values.findIndex((v) => v >= low) : values.findLastIndex((v) => v <= high);
      input.value = String(at);
      const format = shownAs[input.dataset.filter] ?? number;
      input.setAttribute("aria-valuetext", values.length ? format(values[at]) : "");
      const shown = document.querySelector(`[data-shown="${input.dataset.filter}"]`);
      shown.textContent = values.length ? `${format(low)} to ${format(high)}` : "not known here";
    }
  }
  function narrow(key, low, high) {
    const values = valuesOf(key);
    if (low <= values[0] && high >= values.at(-1)) delete state.filters[key];
    else state.filters[key] = [low, high];
  }
  function filterMoved(input) {
    const key = input.dataset.filter;
    const values = valuesOf(key);
    const end = (which) => values[Number(document.querySelector(`[data-filter="${key}"][data-end="${which}"]`).value)];
    let [low, high] = [end("low"), end("high")];
    if (low > high) [low, high] = input.dataset.end === "low" ? [low, low] : [high, high];
    narrow(key, low, high);
    showControls();
    settleTarget(null);
  }

  // ---- what is shown of it ----
  const insideNow = () => new Set(models.filter(within).map((model) => model.id));
  function show() {
    const inside = insideNow();
    for (const row of document.querySelectorAll("#model-table tbody tr")) {
      row.hidden = !inside.has(row.dataset.model);
      row.classList.toggle("picked", row.dataset.model === state.picked?.id);
      row.querySelector("button").setAttribute("aria-pressed", String(row.dataset.model === state.picked?.id));
    }
    byId("count").textContent = `${inside.size} of ${models.length} models`;
    byId("all-models").disabled = inside.size === models.length && !state.device;
    showPicked();
    showChains();
    // A slider moves faster than a thousand marks are drawn: only its last place counts.
    cancelAnimationFrame(state.frame);
    state.frame = requestAnimationFrame(() => drawFront(insideNow()));
  }
  function showPicked() {
    const model = state.picked;
    byId("picked").hidden = !model;
    if (!model) return;
    byId("picked-name").replaceChildren(made("code", model.id), " for ", made("bdi", deviceOf(model)));
    byId("picked-facts").replaceChildren(...model.facts.map(([label, value, note]) => {
      const group = made("div");
      group.append(made("dt", label), made("dd", value));
      if (note) group.lastChild.append(made("small", note));
      return group;
    }));
    const links = model.files.flatMap(([file, href]) => {
      const link = made("a", file, { href });
      if (!file.endsWith(".json")) link.setAttribute("download", `${model.id}-${file}`);
      return [link, " "];
    });
    byId("picked-files").replaceChildren(...(links.length ? ["Files: ", ...links] : ["Not exported."]));
    byId("picked-chain").replaceChildren(chain(model));
  }
  function chain(model) {
    if (!run.chains[model.id]) return made("pre", `${run.problem}\n${run.genes[model.id] ?? ""}`);
    const list = made("ol", undefined, { "aria-label": `Layers of ${model.id}` });
    let stage = null;
    for (const brick of run.chains[model.id].map((row) => run.bricks[row])) {
      if (stage === null || stage.dataset.stage !== brick.stage) {
        stage = made("li", undefined, { "data-stage": brick.stage });
        stage.append(made("ol"), made("small", brick.stage));
        list.append(stage);
      }
      const box = made("li", undefined, { class: `brick ${brick.tone}`, title: brick.told });
      box.style.setProperty("--k", brick.kernel);
      box.style.setProperty("--e", brick.expand);
      box.append(made("span", brick.told, { class: "unseen" }));
      box.append(...brick.lines.map((line) => made("span", line, { "aria-hidden": "true" })));
      stage.firstChild.append(box);
    }
    return list;
  }
  function showChains() {
    const wanted = JSON.stringify([state.device, state.filters]);
    if (!byId("all-chains").open || state.chains === wanted) return;
    state.chains = wanted;
    byId("all-chains-inside").replaceChildren(...models.filter(within).flatMap((model) => {
      const title = made("h3");
      const words = ` ${model.accuracy.toFixed(2)} %, ${number(model.latency[deviceOf(model)])} ms on `;
      title.append(made("code", model.id), words, made("bdi", deviceOf(model)));
      const place = made("div", undefined, { class: "chain" });
      place.append(chain(model));
      return [title, place];
    }));
  }

  // ---- plots ----
  const front = document.querySelector("[data-plot=front]");
  const colourOf = (key) => getComputedStyle(document.documentElement).getPropertyValue(`--${key}`).trim();
  // On a touch screen a drag scrolls the page until a tool is chosen.
  state.drag = window.matchMedia("(pointer: coarse)").matches ? false : "zoom";
  function themed(figure) {
    const [ink, soft, rule, card, limit] = ["ink", "soft", "rule", "card", "limit"].map(colourOf);
    const data = figure.data.map((trace) => {
      const colour = colourOf(`c${trace.meta.colour}`);
      const bars = (error) => error && { ...error, color: colour };
      return {
        ...trace,
        marker: { ...trace.marker, color: colour, line: { color: card, width: 1 } },
        line: { ...trace.line, color: colour },
        error_x: bars(trace.error_x),
        error_y: bars(trace.error_y),
      };
    });
    const axis = (own) => ({
      gridcolor: rule, zerolinecolor: rule, linecolor: rule, automargin: true, tickfont: { color: soft }, ...own,
      title: { ...own.title, font: { color: ink, size: 13 }, standoff: 8 },
    });
    const kinds = { limit, guide: soft, pick: colourOf("c2") };
    const layout = {
      ...figure.layout,
      xaxis: axis(figure.layout.xaxis),
      yaxis: axis(figure.layout.yaxis),
      shapes: figure.layout.shapes.map((one) => ({ ...one, line: { ...one.line, color: kinds[one.name] } })),
      annotations: figure.layout.annotations.map((one) => ({ ...one, font: { color: kinds[one.name], size: 12 } })),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: { color: ink, size: 13, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 48, r: 12, t: 12, b: 44 },
      legend: { orientation: "h", yanchor: "bottom", y: 1.01, x: 0, font: { color: ink } },
      hoverlabel: { bgcolor: card, bordercolor: soft, align: "left", font: { color: ink } },
      dragmode: state.drag && "zoom", hovermode: "closest",
    };
    return { data, layout };
  }
  const settings = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  function draw(place, figure) {
    return Plotly.react(place, figure.data, figure.layout, settings);
  }
  function drawFront(inside) {
    if (!window.Plotly || !front) return;
    const figure = themed(run.plots[state.plot]);
    const spots = [];
    for (const trace of figure.data) {
      const rows = trace.customdata.map((id, row) => [id, row]);
      if (inside.size < models.length) trace.selectedpoints = rows.filter(([id]) => inside.has(id)).map(([, row]) => row);
      trace.unselected = { marker: { opacity: 0.12 } };
      const elsewhere = state.device && trace.meta.device !== state.device;
      if (elsewhere && state.plot === "front") trace.visible = "legendonly";
      const mine = state.picked && (state.plot !== "front" || trace.meta.device === deviceOf(state.picked));
      if (mine) spots.push(...rows.filter(([id]) => id === state.picked.id).map(([, row]) => [trace.x[row], trace.y[row]]));
    }
    figure.data.push({
      type: "scatter", mode: "markers", showlegend: false, hoverinfo: "skip",
      x: spots.map(([x]) => x), y: spots.map(([, y]) => y), customdata: spots.map(() => null),
      marker: { symbol: "circle-open", size: 20, color: colourOf("ink"), line: { width: 2.5 } },
    });
    if (state.plot === "front" && state.target !== null) {
      const line = { dash: "solid", width: 1.5, color: colourOf("c2") };
      const at = { type: "line", x0: state.target, x1: state.target, yref: "paper", y0: 0, y1: 1, name: "pick", line };
      figure.layout.shapes = [...figure.layout.shapes, at];
    }
    // The same revision keeps a zoom while other things change.
    figure.layout.uirevision = state.plot;
    figure.layout.dragmode = state.drag;
    draw(front, figure);
  }
  function drawAll() {
    for (const place of document.querySelectorAll("[data-plot]")) {
      if (place !== front) draw(place, themed(run.plots[place.dataset.plot]));
    }
    if (front) drawFront(insideNow());
  }
  async function loadPlotly() {
    const packed = Uint8Array.from(atob(byId("plotly").textContent.trim()), (one) => one.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = made("script", await new Response(unpacked).text());
    document.head.append(script);
    byId("plotly").remove();
    if (!window.Plotly) throw new Error("plotly did not start");
  }
  function selected(event) {
    const ids = new Set((event?.points ?? []).map((point) => point.customdata).filter(Boolean));
    if (!ids.size) return;
    const chosen = [...ids].map((id) => modelOf.get(id));
    const key = { front: "latency", "front-size": "size", "front-energy": "energy" }[state.plot];
    for (const one of ["accuracy", key].filter(Boolean)) {
      const values = chosen.map(quantity[one]).filter((value) => value !== null);
      narrow(one, Math.min(...values), Math.max(...values));
    }
    byId("filters").open = true;
    showControls();
    settleTarget(null);
  }
  function listenToFront() {
    front.on("plotly_click", (event) => pick(event.points.map((point) => point.customdata).find(Boolean)));
    front.on("plotly_selected", selected);
  }

  // ---- the table ----
  function sortable(table) {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = made("button", undefined, { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const valueOf = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
        const compare = (a, b) => valueOf(a).localeCompare(valueOf(b), "en", { numeric: true });
        const order = (a, b) => (down ? -1 : 1) * (Number(valueOf(a)) - Number(valueOf(b)) || compare(a, b));
        table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
      });
    });
  }
  function pickable(table) {
    for (const row of table.tBodies[0].rows) {
      const code = row.cells[0].firstChild;
      const button = made("button", undefined, { type: "button", "aria-label": `Pick ${code.textContent}` });
      code.replaceWith(button);
      button.append(code);
      button.addEventListener("click", () => pick(row.dataset.model));
    }
  }

  // ---- begin ----
  function listen() {
    slider.addEventListener("input", () => settleTarget(stops()[Number(slider.value)]));
    byId("target-typed").addEventListener("change", (event) => {
      const typed = Number(event.target.value);
      settleTarget(typed > 0 ? typed : null);
    });
    byId("device")?.addEventListener("change", (event) => {
      state.device = event.target.value;
      state.filters = {};
      showControls();
      settleTarget(run.targets[state.device] && stops().filter((one) => one <= run.targets[state.device]).at(-1));
    });
    byId("against").addEventListener("change", (event) => {
      state.plot = event.target.value;
      front.setAttribute("aria-label", `Accuracy against ${event.target.selectedOptions[0].textContent}`);
      show();
    });
    for (const input of document.querySelectorAll("[data-filter]")) input.addEventListener("input", () => filterMoved(input));
    byId("all-models").addEventListener("click", () => {
      state.filters = {};
      state.device = "";
      showControls();
      settleTarget(null);
    });
    for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => useTool(button));
    byId("all-chains").addEventListener("toggle", showChains);
  }
  function useTool(button) {
    const tool = button.dataset.tool;
    if (tool === "png") Plotly.downloadImage(front, { format: "png", scale: 2, filename: "front" });
    else if (tool === "reset") Plotly.relayout(front, { "xaxis.autorange": true, "yaxis.autorange": true });
    else {
      state.drag = state.drag === tool ? false : tool;
      showTools();
      show();
    }
  }
  function showTools() {
    for (const one of document.querySelectorAll("[data-tool][aria-pressed]")) one.setAttribute("aria-pressed", String(one.dataset.tool === state.drag));
  }
  byId("copy-command")?.addEventListener("click", async (event) => {
    window.getSelection().selectAllChildren(byId("command"));
    await navigator.clipboard?.writeText(byId("command").textContent).then(() => { event.target.textContent = "Copied"; }, () => {});
  });
  if (models.length) {
    sortable(byId("model-table"));
    pickable(byId("model-table"));
    listen();
    showTools();
    showControls();
    settleTarget(null);
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => window.Plotly && drawAll());
  loadPlotly().then(() => {
    drawAll();
    if (front) listenToFront();
    document.documentElement.dataset.ready = "true";
  }).catch((error) => {
    byId("trouble").hidden = false;
    byId("trouble").textContent = `The plots cannot be drawn by this browser (${error.message}); the tables have every figure.`;
  });
})();

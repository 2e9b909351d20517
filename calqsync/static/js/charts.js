// Draws every <canvas data-chart data-series-id> from the JSON that the page carries.
// The table under a chart holds the same numbers; without this file nothing is lost.
(() => {
  "use strict";
  if (typeof Chart === "undefined") return;

  const BELOW = new Set(["contraction", "churn", "money-out"]);
  const drawn = new Map();

  const token = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const kindColour = (kind) => token(`--kind-${kind}`) || token("--kind-other");

  // Textures tell kinds apart where colours cannot; the hatch marks the running month.
  const TEXTURES = {
    reactivation: (pen) => pen.fillRect(2, 2, 2, 2),
    contraction: (pen) => pen.fillRect(0, 3, 8, 1),
    "money-out": (pen) => pen.fillRect(0, 3, 8, 1),
  };

  function tile(size, paint) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const pen = canvas.getContext("2d");
    paint(pen);
    return pen.createPattern(canvas, "repeat");
  }

  function hatch(colour) {
    return tile(8, (pen) => {
      pen.fillStyle = token("--surface");
      pen.fillRect(0, 0, 8, 8);
      pen.globalAlpha = 0.22;
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 8, 8);
      pen.globalAlpha = 1;
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      for (const shift of [-8, 0, 8]) {
        pen.beginPath();
        pen.moveTo(shift, 8);
        pen.lineTo(shift + 8, 0);
        pen.stroke();
      }
    });
  }

  function fill(kind, colour) {
    const texture = TEXTURES[kind];
    if (!texture) return colour;
    return tile(8, (pen) => {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 8, 8);
      pen.fillStyle = token("--surface");
      pen.globalAlpha = 0.4;
      texture(pen);
    });
  }

  // Writes numbers in the page's language; the server gives what the numbers are.
  function writer(format) {
    const language = document.documentElement.lang || "en";
    const locale = language === "en" ? "en-GB" : language;
    const style = format.style || "money";
    if (style === "rate") {
      const full = new Intl.NumberFormat(locale, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
      const short = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
      return { scale: 1, full: (v) => sign(full.format(v)), short: (v) => sign(short.format(v)) };
    }
    if (style === "count") {
      const full = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
      return { scale: 1, full: (v) => sign(full.format(v)), short: (v) => sign(full.format(v)) };
    }
    const money = { style: "currency", currency: format.currency || "EUR" };
    const full = new Intl.NumberFormat(locale, money);
    const short = new Intl.NumberFormat(locale, { ...money, notation: "compact", maximumFractionDigits: 1, minimumFractionDigits: 0 });
    const digits = full.resolvedOptions().maximumFractionDigits;
    return { scale: 10 ** digits, full: (v) => sign(full.format(v)), short: (v) => sign(short.format(v)) };
  }
  const sign = (text) => text.replace(/^-|(?<=\s)-/, "\u2212");

  function bars(series, data, scale) {
    const colour = kindColour(series.kind);
    const plain = fill(series.kind, colour);
    const running = hatch(colour);
    const incomplete = new Set(data.incomplete || []);
    const turn = BELOW.has(series.kind) && data.signed !== true ? -1 : 1;
    const paints = data.labels.map((_, i) => (incomplete.has(i) ? running : plain));
    return {
      type: "bar",
      data: series.values.map((v) => (v === null ? null : (turn * v) / scale)),
      backgroundColor: paints,
      hoverBackgroundColor: paints,
      borderColor: colour,
      borderWidth: data.labels.map((_, i) => (incomplete.has(i) ? 1 : 0)),
      borderSkipped: false,
      stack: series.stack || "all",
      maxBarThickness: 34,
      categoryPercentage: 0.82,
      barPercentage: 0.9,
      order: 2,
    };
  }

  function line(series, data, scale) {
    const colour = kindColour(series.kind);
    const open = new Set(data.incomplete || []);
    const plan = data.plan_from ?? Infinity;
    // Plan and the running month are dashed: they are not yet a fact.
    const dash = (c) => (open.has(c.p1DataIndex) || c.p1DataIndex >= plan ? [4, 4] : undefined);
    return {
      type: "line",
      data: series.values.map((v) => (v === null ? null : v / scale)),
      borderColor: colour,
      backgroundColor: colour,
      pointBackgroundColor: token("--surface"),
      borderWidth: 2,
      pointRadius: series.values.length > 40 ? 0 : 2,
      pointHoverRadius: 4,
      tension: 0,
      spanGaps: false,
      segment: { borderDash: dash },
      order: 1,
      yAxisID: series.axis === "right" ? "right" : "y",
    };
  }

  function dataset(series, data, scale) {
    const isLine = series.as ? series.as === "line" : data.type === "lines" || series.kind === "mrr" || series.kind === "cash";
    const made = isLine ? line(series, data, scale) : bars(series, data, scale);
    return { ...made, label: series.label, hidden: Boolean(series.hidden) };
  }

  // A named vertical line, such as the day the money runs out.
  const marks = {
    id: "marks",
    afterDatasetsDraw(chart, _args, options) {
      const { ctx, chartArea: area, scales } = chart;
      for (const mark of options.list || []) {
        const x = scales.x.getPixelForValue(mark.at);
        ctx.save();
        ctx.strokeStyle = token("--bad");
        ctx.fillStyle = token("--ink");
        ctx.setLineDash([3, 3]);
        ctx.beginPath();
        ctx.moveTo(x, area.top);
        ctx.lineTo(x, area.bottom);
        ctx.stroke();
        ctx.font = `600 11px ${token("--font")}`;
        ctx.textAlign = x > (area.left + area.right) / 2 ? "right" : "left";
        ctx.fillText(mark.label, x + (ctx.textAlign === "right" ? -6 : 6), area.top + 10);
        ctx.restore();
      }
    },
  };

  function axis(write, extra) {
    return {
      border: { display: false },
      grid: {
        color: (c) => (c.tick.value === 0 ? token("--control") : token("--line")),
        drawTicks: false,
      },
      ticks: { color: token("--muted"), padding: 8, maxTicksLimit: 6, callback: (v) => write.short(v) },
      ...extra,
    };
  }

  const named = (text) => ({ display: Boolean(text), text, color: token("--muted") });

  function options(data, write) {
    const wantsRight = data.series.some((s) => s.axis === "right");
    return {
      responsive: true,
      maintainAspectRatio: false,
      // Nothing moves: a figure that slides into place cannot be read meanwhile.
      animation: false,
      normalized: true,
      font: { family: token("--font") },
      interaction: { mode: "index", intersect: false },
      scales: {
        x: {
          stacked: data.stacked !== false,
          border: { color: token("--line-strong") },
          grid: { display: false },
          ticks: { color: token("--muted"), maxRotation: 0, autoSkipPadding: 14 },
        },
        y: axis(write, { stacked: false, beginAtZero: data.from_zero !== false, title: named(data.axis_left) }),
        ...(wantsRight ? { right: axis(write, { position: "right", grid: { display: false }, beginAtZero: true, title: named(data.axis_right) }) } : {}),
      },
      plugins: {
        legend: { display: false },
        marks: { list: data.marks || [] },
        tooltip: {
          backgroundColor: token("--surface"),
          borderColor: token("--line-strong"),
          borderWidth: 1,
          titleColor: token("--ink"),
          bodyColor: token("--ink"),
          padding: 10,
          cornerRadius: 6,
          boxPadding: 5,
          usePointStyle: true,
          itemSort: (a, b) => a.datasetIndex - b.datasetIndex,
          callbacks: {
            title: (items) => titleOf(items[0], data),
            label: (item) => ` ${item.dataset.label}  ${write.full(item.parsed.y)}`,
            labelColor: (item) => {
              const colour = kindColour(data.series[item.datasetIndex].kind);
              return { borderColor: colour, backgroundColor: colour };
            },
          },
        },
      },
    };
  }

  function titleOf(item, data) {
    if (!item) return "";
    const open = (data.incomplete || []).includes(item.dataIndex);
    return open && data.incomplete_word ? `${item.label} (${data.incomplete_word})` : item.label;
  }

  function build(canvas, data) {
    const write = writer(data.format || {});
    const config = {
      data: { labels: data.labels, datasets: data.series.map((s) => dataset(s, data, write.scale)) },
      options: options(data, write),
      plugins: [marks],
    };
    if (data.stacked !== false) config.options.scales.y.stacked = data.series.some((s) => s.kind && !isLineOnly(data));
    // A line in a stacked chart must not be stacked onto the bars.
    for (const set of config.data.datasets) if (set.type === "line") set.stack = `line-${set.label}`;
    Chart.defaults.font.family = token("--font");
    Chart.defaults.font.size = 11;
    return new Chart(canvas, config);
  }
  const isLineOnly = (data) => data.type === "lines";

  function legend(canvas, chart) {
    const list = canvas.closest("figure")?.querySelector("[data-legend]");
    if (!list || list.dataset.ready) return;
    list.dataset.ready = "1";
    list.querySelectorAll("[data-series]").forEach((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = item.className;
      button.innerHTML = item.innerHTML;
      const index = Number(item.dataset.series);
      button.setAttribute("aria-pressed", String(chart.isDatasetVisible(index)));
      button.addEventListener("click", () => {
        const live = drawn.get(canvas).chart;
        const next = !live.isDatasetVisible(index);
        drawn.get(canvas).data.series[index].hidden = !next;
        live.setDatasetVisibility(index, next);
        live.update();
        button.setAttribute("aria-pressed", String(next));
      });
      item.replaceWith(button);
    });
  }

  function draw(canvas) {
    if (drawn.has(canvas)) return;
    const source = document.getElementById(canvas.dataset.seriesId);
    if (!source) return;
    const data = JSON.parse(source.textContent);
    data.type = data.type || canvas.dataset.chart;
    const chart = build(canvas, data);
    drawn.set(canvas, { chart, data });
    legend(canvas, chart);
  }

  const drawAll = (root) => root.querySelectorAll("canvas[data-chart]").forEach(draw);

  function redraw() {
    for (const [canvas, held] of drawn) {
      held.chart.destroy();
      if (!canvas.isConnected) drawn.delete(canvas);
      else held.chart = build(canvas, held.data);
    }
  }

  document.addEventListener("themechange", redraw);
  document.addEventListener("htmx:afterSettle", (event) => drawAll(event.detail.elt));
  document.addEventListener("htmx:beforeCleanupElement", (event) => {
    const held = drawn.get(event.target);
    if (!held) return;
    held.chart.destroy();
    drawn.delete(event.target);
  });

  // Paper is light whatever the screen is.
  let theme;
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    redraw();
  });
  addEventListener("afterprint", () => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    redraw();
  });

  drawAll(document);
})();

// Charts that answer to the pointer: where the drawing library is there it draws over the server's drawing, from the
// numbers in it. Colours are those of that drawing.

const drawn = new Map(); // the box of a chart -> its plot
let library = null;

const load = ({ plots, plotStyles }) =>
	(library ||= new Promise((ready, failed) => {
		const styles = document.createElement("link");
		styles.rel = "stylesheet";
		styles.href = plotStyles;
		const script = document.createElement("script");
		script.src = plots;
		script.addEventListener("load", ready);
		script.addEventListener("error", failed);
		for (const el of [styles, script]) el.dataset.late = ""; // no page has them from the start: they tell no build apart
		document.head.append(styles, script);
	}));

const colour = (el, name) => (el ? getComputedStyle(el)[name] : "");

const linesOf = (box) => [...box.querySelectorAll("path[data-series]")];

// numbersOf is the times, then each line; what is not known is null.
const numbersOf = (box) => {
	const lines = linesOf(box).map((line) => line.dataset.series.split(",").map((text) => (text === "" ? null : Number(text))));
	const { from, step } = box.dataset;
	return [lines[0].map((_, i) => Number(from) + i * Number(step)), ...lines];
};

const clockOf = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);

// told is what the numbers under the pointer say.
const told = (box, plot, note) => {
	const i = plot.cursor.idx;
	note.hidden = i === null || i === undefined;
	if (note.hidden) return;
	const values = linesOf(box).map((line, n) => {
		const v = plot.data[n + 1][i];
		return `${line.dataset.name} ${v === null ? "–" : Number(v.toPrecision(3))} ${box.dataset.unit}`.trim();
	});
	note.textContent = `${clockOf(plot.data[0][i])}  ${values.join(", ")}`;
};

const optionsOf = (box, note) => {
	const text = colour(box.querySelector("text"), "fill");
	const grid = { stroke: colour(box.querySelector(".g"), "stroke"), width: 1 };
	const axis = { stroke: text, grid, ticks: { show: false }, font: "10.5px " + getComputedStyle(box).fontFamily };
	const bars = "bars" in box.dataset;
	const top = Number(box.dataset.top);
	return {
		width: box.clientWidth,
		height: box.clientHeight,
		padding: [8, 8, 0, 0],
		legend: { show: false },
		cursor: { sync: { key: "xlb" }, drag: { setScale: false, x: false, y: false } },
		scales: { y: { range: () => [0, top] } },
		axes: [
			{ ...axis, grid: { show: false }, size: 22, space: 48, values: (_, at) => at.map((s) => clockOf(s).slice(0, 5)) },
			{ ...axis, size: 38, splits: () => [0, top / 2, top] },
		],
		series: [
			{},
			...linesOf(box).map((line) => ({
				stroke: colour(line, bars ? "fill" : "stroke"),
				fill: bars ? colour(line, "fill") : colour(line.previousElementSibling?.matches(".a") ? line.previousElementSibling : null, "fill"),
				width: 1.5,
				dash: line.matches(".dash") ? [4, 3] : undefined,
				points: { show: false },
				paths: bars ? uPlot.paths.bars({ size: [0.8, 12] }) : undefined,
			})),
		],
		hooks: { setCursor: [(plot) => told(box, plot, note)] },
	};
};

const resized = new ResizeObserver((entries) => {
	for (const { target } of entries) {
		if (target.clientWidth) drawn.get(target)?.setSize({ width: target.clientWidth, height: target.clientHeight });
	}
});

const begin = (box) => {
	const note = document.createElement("span");
	note.className = "plot-note";
	note.hidden = true;
	const plot = new uPlot(optionsOf(box, note), numbersOf(box), box);
	plot.root.dataset.kept = "";
	plot.root.setAttribute("aria-hidden", "true"); // the drawing below says it in words
	plot.root.append(note);
	drawn.set(box, plot);
	resized.observe(box);
};

const end = (box) => {
	resized.unobserve(box);
	drawn.get(box).destroy();
	drawn.delete(box);
};

const draw = async () => {
	for (const box of [...drawn.keys()]) if (!box.isConnected) end(box);
	const charts = document.getElementById("frontend-charts");
	if (!charts?.dataset.plots || !charts.querySelector("[data-plot]")) return;
	try {
		await load(charts.dataset);
	} catch {
		return; // the server's drawings stay
	}
	for (const box of document.querySelectorAll("[data-plot]")) {
		const plot = drawn.get(box);
		if (plot) plot.setData(numbersOf(box));
		else begin(box);
	}
};

// In other colours they are made again.
const again = () => {
	for (const box of [...drawn.keys()]) end(box);
	draw();
};

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
on("xlb:swap", draw);
draw();

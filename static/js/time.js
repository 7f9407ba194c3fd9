// Times come in UTC and are shown in the reader's zone, in 24 hours and in the
// form the server chose: a clock stays a clock, a date a date, words such as
// "4 min ago" stay as they are. The exact time goes to the title.

const two = (n) => String(n).padStart(2, "0");
const month = new Intl.DateTimeFormat("en", { month: "short" });

const zone = (d) => {
	const minutes = -d.getTimezoneOffset();
	if (minutes === 0) return "Z";
	const m = Math.abs(minutes);
	return (minutes < 0 ? "-" : "+") + two(Math.floor(m / 60)) + ":" + two(m % 60);
};

const iso = (d) =>
	`${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}` +
	`T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${zone(d)}`;

const likeBefore = (before, d) => {
	const parts = [];
	if (/\d [A-Z][a-z]{2}|\d{4}-\d\d/.test(before)) {
		parts.push(`${d.getDate()} ${month.format(d)}`);
		if (/\d{4}/.test(before)) parts.push(d.getFullYear());
	}
	if (/\d\d:\d\d/.test(before)) {
		const clock = `${two(d.getHours())}:${two(d.getMinutes())}`;
		parts.push(/\d\d:\d\d:\d\d/.test(before) ? `${clock}:${two(d.getSeconds())}` : clock);
	}
	return parts.join(" ") || before;
};

// What an element was converted to, so that it is not converted twice.
const done = new WeakMap();

const localize = () => {
	for (const el of document.querySelectorAll("time[datetime]")) {
		const stamp = el.dateTime;
		if (!stamp.includes("T") || done.get(el) === stamp + el.textContent) continue;
		const d = new Date(stamp);
		if (Number.isNaN(d.getTime())) continue;
		el.title = iso(d);
		const text = likeBefore(el.textContent, d);
		if (text !== el.textContent) el.textContent = text;
		done.set(el, stamp + text);
	}
};
// Words in a drawing are no time elements.
const localizeDrawings = () => {
	for (const el of document.querySelectorAll("text[data-at]")) {
		const d = new Date(el.dataset.at);
		const text = `${two(d.getHours())}:${two(d.getMinutes())}`;
		if (el.textContent !== text) el.textContent = text;
	}
};

for (const make of [localize, localizeDrawings]) {
	make();
	on("xlb:swap", make);
}

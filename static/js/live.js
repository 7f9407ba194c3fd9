// Live updates: one stream of server-sent events for each tab, closed while
// the tab is hidden. An event is named by the id of the element it brings.

const url = document.body.dataset.live;
const banner = document.getElementById("banner");
const waits = [1, 2, 4, 8, 10];
const ids = ["overview-live", "frontend-table", "frontend-live", "connection-table", "connect-panel"];

let source = null;
let paused = false;
let failures = 0;
let ticking = 0;
let last = new Date();
let build = "";

const clock = () => last.toTimeString().slice(0, 8);

const stamp = (text) => {
	for (const el of document.querySelectorAll("[data-stamp]")) el.textContent = text;
};

// The banner: words, of which one may count down, and at most one button.
const show = (kind, words, label, action) => {
	if (!banner) return;
	banner.dataset.kind = kind;
	banner.classList.toggle("bad", kind === "bad");
	banner.classList.toggle("ok", kind === "ok");
	// Announced once by say, not at each second.
	banner.setAttribute("aria-live", "off");
	const text = document.createElement("span");
	text.textContent = words;
	banner.replaceChildren(text);
	if (label) {
		const button = document.createElement("button");
		button.type = "button";
		button.className = "btn s";
		button.textContent = label;
		button.addEventListener("click", action);
		banner.append(button);
	}
	banner.hidden = false;
};

const hide = (kind) => {
	if (banner && banner.dataset.kind === kind) banner.hidden = true;
};

const close = () => {
	clearInterval(ticking);
	if (source) source.close();
	source = null;
};

const failed = () => {
	close();
	let left = waits[Math.min(failures, waits.length - 1)];
	failures++;
	const words = () => `The connection to XLB is gone. Trying again in ${left} s.`;
	stamp("Reconnecting");
	show("bad", words(), "Try now", open);
	if (failures === 1) say("The connection to XLB is gone.");
	ticking = setInterval(() => {
		left--;
		if (left <= 0) open();
		else if (banner && banner.firstElementChild) banner.firstElementChild.textContent = words();
	}, 1000);
};

const opened = () => {
	if (failures > 0) {
		failures = 0;
		show("ok", "Connected again.");
		say("Connected again.");
		setTimeout(hide, 4000, "ok");
	}
	stamp(`Live ${clock()}`);
};

const listen = (name) => {
	source.addEventListener(name, ({ data }) => {
		document.dispatchEvent(new CustomEvent("xlb:morph", { detail: { id: name, markup: data } }));
	});
};

const open = () => {
	if (!url || paused || document.hidden) return;
	close();
	source = new EventSource(url);
	source.addEventListener("open", opened);
	source.addEventListener("error", failed);
	source.addEventListener("stamp", ({ data }) => {
		const at = new Date(data);
		if (!Number.isNaN(at.getTime())) last = at;
		stamp(`Live ${clock()}`);
	});
	source.addEventListener("build", ({ data }) => {
		if (build && data !== build) {
			show("news", "XLB was updated. Reload when it suits you.", "Reload", () => location.reload());
			say("XLB was updated.");
		}
		build ||= data;
	});
	source.addEventListener("later", ({ data }) => {
		close();
		stamp(`Not live since ${clock()}: too many tabs are open`);
		setTimeout(open, Number(data) * 1000);
	});
	source.addEventListener("gone", () => {
		close();
		location.reload();
	});
	const names = new Set(ids);
	for (const el of document.querySelectorAll("[data-fragment][id]")) names.add(el.id);
	for (const name of names) listen(name);
};

const label = (button) => {
	const word = paused ? "Resume" : "Pause";
	const text = button.querySelector("span") || (button.children.length ? null : button);
	if (text) text.textContent = word;
	const icon = button.querySelector("use");
	if (icon) icon.setAttribute("href", paused ? "#i-play" : "#i-pause");
	if (button.hasAttribute("aria-label")) button.setAttribute("aria-label", `${word} live updates`);
};

const toggle = () => {
	if (!url) return;
	paused = !paused;
	if (paused) {
		close();
		failures = 0;
		hide("bad");
		stamp(`Paused at ${clock()}`);
		say("Paused");
	} else {
		open();
		say("Live");
	}
	document.querySelectorAll("[data-pause]").forEach(label);
};

document.addEventListener("click", (event) => {
	if (event.target.closest("[data-pause]")) toggle();
});
document.addEventListener("xlb:pause", toggle);
document.addEventListener("visibilitychange", () => {
	if (document.hidden) close();
	else open();
});
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => {
	if (event.persisted) open();
});

const reveal = () => {
	for (const button of document.querySelectorAll("[data-pause][hidden]")) button.hidden = !url;
};
reveal();
document.addEventListener("xlb:swap", reveal);
open();

// Live updates: one stream of server-sent events for each tab, closed while
// the tab is hidden. An event is named by the id of the element it brings. The
// stream goes on when another page comes into the tab: it is told the view.

let url = document.body.dataset.live;
let stream = ""; // its name, by which it is told another view
let view = 0; // counts the views of this document
let shown = 0; // the one that the stream brings
const bannerOf = () => document.getElementById("banner");
const waits = [1, 2, 4, 8, 10];
const ids = ["overview-live", "frontend-table", "frontend-head", "frontend-live", "frontend-charts", "connection-table", "ended-table", "refused-table", "certificate-use", "connect-panel"];

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
const show = (kind, line, label, action) => {
	const banner = bannerOf();
	if (!banner) return;
	banner.dataset.kind = kind;
	banner.classList.toggle("bad", kind === "bad");
	banner.classList.toggle("ok", kind === "ok");
	// Announced once by say, not at each second.
	banner.setAttribute("aria-live", "off");
	const text = document.createElement("span");
	text.textContent = line;
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
	const banner = bannerOf();
	if (banner && banner.dataset.kind === kind) banner.hidden = true;
};

const close = () => {
	clearInterval(ticking);
	if (source) source.close();
	source = null;
	stream = "";
};

// The side bar says whether the server is there.
const reach = (there) => {
	const line = document.querySelector("[data-reach]");
	if (line) line.hidden = there;
	document.querySelector("[data-accepting]")?.toggleAttribute("hidden", !there);
};

const failed = () => {
	close();
	let left = waits[Math.min(failures, waits.length - 1)];
	failures++;
	const line = () => word("goneFor", left);
	stamp(word("reconnecting"));
	reach(false);
	show("bad", line(), word("tryNow"), open);
	if (failures === 1) say(word("gone"));
	ticking = setInterval(() => {
		left--;
		if (left <= 0) open();
		else {
			const text = bannerOf()?.firstElementChild;
			if (text) text.textContent = line();
		}
	}, 1000);
};

const opened = () => {
	if (failures > 0) {
		failures = 0;
		reach(true);
		show("ok", word("connected"));
		say(word("connected"));
		setTimeout(hide, 4000, "ok");
	}
	stamp(word("liveAt", clock()));
};

const listen = (name) => {
	source.addEventListener(name, ({ data }) => {
		if (shown === view) tell("xlb:morph", { id: name, markup: data });
	});
};

const open = () => {
	if (!url || paused || document.hidden) return;
	close();
	shown = view;
	source = new EventSource(url);
	source.addEventListener("open", opened);
	source.addEventListener("error", failed);
	source.addEventListener("stamp", ({ data }) => {
		const at = new Date(data);
		if (!Number.isNaN(at.getTime())) last = at;
		stamp(word("liveAt", clock()));
	});
	source.addEventListener("build", ({ data }) => {
		if (build && data !== build) {
			show("news", word("updated"), word("reload"), () => location.reload());
			say(word("updatedShort"));
		}
		build ||= data;
	});
	source.addEventListener("stream", ({ data }) => (stream = data));
	source.addEventListener("view", ({ data }) => (shown = Number(data)));
	source.addEventListener("later", ({ data }) => {
		close();
		stamp(word("tooManyTabs", clock()));
		setTimeout(open, Number(data) * 1000);
	});
	source.addEventListener("gone", () => {
		close();
		// A log-out from here ends the stream before its page comes: that one says what happened.
		if (under.way === 0) location.reload();
	});
	for (const name of ids) listen(name);
};

// turn has the stream bring what the page that came in shows.
const turn = async () => {
	url = document.body.dataset.live;
	view++;
	paused = false;
	if (!url) return close();
	if (!source || !stream || failures > 0) return open();
	const body = new URLSearchParams(url.split("?")[1]);
	body.set("stream", stream);
	body.set("number", view);
	const mine = view;
	try {
		const answer = await fetch("/events/view", { method: "POST", body });
		if (!answer.ok && mine === view) open();
	} catch {
		if (mine === view) failed();
	}
};

const label = (button) => {
	const name = paused ? "resume" : "pause";
	const text = button.querySelector("span") || (button.children.length ? null : button);
	if (text) text.textContent = word(name);
	const icon = button.querySelector("use");
	if (icon) icon.setAttribute("href", paused ? "#i-play" : "#i-pause");
	if (button.hasAttribute("aria-label")) button.setAttribute("aria-label", word(name + "Live"));
};

const toggle = () => {
	if (!url) return;
	paused = !paused;
	if (paused) {
		close();
		failures = 0;
		hide("bad");
		stamp(word("pausedAt", clock()));
		say(word("paused"));
	} else {
		open();
		say(word("live"));
	}
	document.querySelectorAll("[data-pause]").forEach(label);
};

on("click", (event) => {
	if (event.target.closest("[data-pause]")) toggle();
});
on("xlb:pause", toggle);
on("visibilitychange", () => {
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
on("xlb:swap", reveal);
on("xlb:page", () => {
	reveal();
	stamp(word("liveAt", clock()));
	turn();
});
open();

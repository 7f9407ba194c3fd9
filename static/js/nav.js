// One page, many addresses: what is followed inside is fetched and put in the
// place of the page, without a new document. Without the Navigation API
// everything is a plain load.

const frameOf = (doc) => doc.querySelector(".app, .wiz, .gate, .err-page");
const progress = document.getElementById("progress");
const refs = "script[src]:not([data-late]), link[rel=stylesheet]:not([data-late])";
const build = (doc) => [...doc.querySelectorAll(refs)].map((el) => el.getAttribute("src") || el.getAttribute("href")).join();

let asking = null; // the request on its way; a later one ends it
let posting = false;
let own = false; // this script changes the address
let passing = ""; // an address that is left to the browser

const plain = (url) => {
	passing = url;
	location.assign(url);
};

// ask fetches a page. It returns null when a later request took over.
const ask = async (url, options) => {
	asking?.abort();
	const mine = (asking = new AbortController());
	const timer = setTimeout(() => (progress.hidden = false), 300);
	try {
		const answer = await fetch(url, { signal: mine.signal, ...options });
		if (!(answer.headers.get("Content-Type") || "").startsWith("text/html")) return { answer };
		return { answer, doc: await pageOf(answer) };
	} catch (err) {
		if (mine.signal.aborted) return null;
		throw err;
	} finally {
		clearTimeout(timer);
		if (asking === mine) progress.hidden = true;
	}
};

// copyData makes the data of an element what it is in the new document.
const copyData = (to, from, names) => {
	for (const name of names) {
		if (name in from.dataset) to.dataset[name] = from.dataset[name];
		else delete to.dataset[name];
	}
};

// change puts the new page in. What has to be saved first goes along.
const change = (doc) => {
	const from = frameOf(document);
	const to = frameOf(doc);
	const unsaved = document.querySelector("[data-unsaved]");
	document.title = doc.title;
	copyData(document.body, doc.body, ["live", "keys"]);
	copyData(document.documentElement, doc.documentElement, ["theme"]);
	if (from.className === to.className && from.matches(".app")) {
		document.getElementById("main").replaceWith(document.importNode(doc.getElementById("main"), true));
		const side = doc.getElementById("side");
		document.activeElement?.blur(); // what has the focus is not touched
		tell("xlb:morph", { id: "side", markup: side.outerHTML });
	} else {
		from.replaceWith(document.importNode(to, true));
	}
	if (unsaved && !document.querySelector("[data-unsaved]")) {
		(document.querySelector("#main .body") || document.getElementById("main")).prepend(unsaved);
	}
};

const still = matchMedia("(prefers-reduced-motion: reduce)");

// The menu that was used last: who acts on a row stays at it.
let menu = "";
on("click", ({ target }) => {
	if (!target.closest("dialog")) menu = target.closest(".menu")?.firstElementChild.id;
}, true);

// swap shows the new page and puts the focus on its heading, on the link that led away from it, or where it was.
const swap = async (doc, used, stay) => {
	if (document.startViewTransition && !document.hidden && !still.matches) {
		const transition = document.startViewTransition(() => change(doc));
		for (const end of [transition.ready, transition.finished]) end.catch(() => {});
		await transition.updateCallbackDone;
	} else {
		change(doc);
	}
	const link = used && [...document.querySelectorAll("#main a")].find((a) => a.getAttribute("href") === used);
	const at = link || (stay && document.getElementById(menu));
	if (at) at.focus({ preventScroll: true });
	else toHeading();
	for (const name of ["xlb:page", "xlb:swap"]) tell(name);
};

// enter changes the address; the same one makes no new entry.
const enter = (url, replace) => {
	own = true;
	history[replace || url === location.href ? "replaceState" : "pushState"](null, "", url);
	own = false;
};

// show takes an answer in. One to a form that leads nowhere else keeps the address: it may be of no page.
const show = async ({ answer, doc }, form, replace) => {
	const posted = Boolean(form);
	const instead = doc?.querySelector("[data-replace-url]")?.dataset.replaceUrl;
	const stays = posted && !answer.redirected;
	const url = instead ? new URL(instead, location.href).href : stays ? location.href : answer.url;
	if (!doc || !frameOf(doc) || (build(doc) !== build(document) && !stays)) return plain(url);
	const dialog = posted && form.closest("dialog");
	if (stays && dialog && doc.querySelector("[data-dialog-part]")) {
		tell("xlb:again", { dialog, doc });
		tell("xlb:idle");
		return;
	}
	const same = posted && new URL(url).pathname === location.pathname;
	enter(url, replace || Boolean(instead));
	if (!stays && !same) scrollTo(0, 0);
	await swap(doc, "", same);
	if (stays) document.querySelector("h1")?.scrollIntoView({ block: "nearest" });
};

const lost = () => {
	tell("xlb:toast", { bad: true, text: word("lost") });
	tell("xlb:idle");
};

const visit = async (url, options, replace, form) => {
	under.way++;
	try {
		const got = await ask(url, options);
		if (got) await show(got, form, replace);
	} catch {
		lost();
	} finally {
		under.way--;
	}
};

// The browser goes back or forward: the address has changed already.
const back = async (event) => {
	const { used } = event.destination.getState() || {};
	const url = event.destination.url;
	try {
		const got = await ask(url);
		if (!got) return;
		if (!got.doc || !frameOf(got.doc) || got.answer.redirected || build(got.doc) !== build(document)) return plain(got.answer.url);
		await swap(got.doc, used);
		event.scroll();
	} catch {
		lost();
	}
};

const follow = (event) => {
	const { destination, navigationType: type } = event;
	if (own || !event.canIntercept || event.hashChange || event.formData || event.downloadRequest !== null || type === "reload") return;
	if (destination.url === passing) return;
	if (document.querySelector("[data-dirty]") && event.cancelable && !confirm(word("leaveUnsaved"))) return event.preventDefault();
	if (type === "traverse") {
		event.intercept({ focusReset: "manual", scroll: "manual", handler: () => back(event) });
		return;
	}
	event.preventDefault();
	const used = document.activeElement?.closest("a")?.getAttribute("href");
	if (used) navigation.updateCurrentEntry({ state: { used } });
	visit(destination.url, undefined, type === "replace");
};

const submit = async (event) => {
	const form = event.target;
	if (event.defaultPrevented || form.method !== "post") return;
	event.preventDefault();
	if (posting) return;
	posting = true;
	const body = new URLSearchParams(new FormData(form, event.submitter));
	await visit(form.getAttribute("action"), { method: "POST", body }, false, form);
	posting = false;
};

if (window.navigation) {
	navigation.addEventListener("navigate", follow);
	// After the other parts: one of them may have a form for itself.
	setTimeout(() => on("submit", submit));
	on("xlb:answer", ({ detail }) => show(detail, detail.form));
}

// A page that could not be made comes back by itself, unless the reader has gone on. Without scripts a header says so.
on("xlb:page", () => {
	const page = document.querySelector("[data-comes-back]");
	const wait = Number(page?.dataset.comesBack);
	if (wait) setTimeout(() => page.isConnected && location.reload(), wait * 1000);
});

// A key that was not saved is lost with the document.
addEventListener("beforeunload", (event) => {
	if (document.querySelector("[data-unsaved]")) event.preventDefault();
});

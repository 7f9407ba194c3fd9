// Forms: no second submit while the first one runs, downloads that lead on,
// and the focus on what has to be mended.

const busy = new Map(); // form -> how to undo it

const textOf = (button) =>
	[...button.childNodes].findLast((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());

const setBusy = (form, button, words) => {
	const text = button ? textOf(button) : null;
	const before = text ? text.data : "";
	if (button) button.setAttribute("aria-busy", "true");
	if (text && words) text.data = words;
	busy.set(form, () => {
		busy.delete(form);
		if (button) button.removeAttribute("aria-busy");
		if (text) text.data = before;
	});
};

const buttonOf = (form, event) => event.submitter || form.querySelector("button:not([type=button])");

// Names of files are plain: letters, digits, dots and dashes.
const fileName = (answer, otherwise) => /filename="?([^";]+)/.exec(answer.headers.get("Content-Disposition"))?.[1] || otherwise;

const download = async (form, button) => {
	const fields = new URLSearchParams(new FormData(form, button));
	const timer = setTimeout(() => {
		busy.get(form)?.();
		setBusy(form, button, word("making"));
	}, 300);
	setBusy(form, null, "");
	try {
		const answer = await fetch(form.action, {
			method: "POST",
			body: fields,
		});
		clearTimeout(timer);
		if (/html/.test(answer.headers.get("Content-Type") || "")) {
			const doc = await pageOf(answer);
			busy.get(form)?.();
			if (!window.navigation) form.submit();
			tell("xlb:answer", { answer, doc, form });
			return;
		}
		save(await answer.blob(), fileName(answer, form.dataset.download || "xlb.zip"));
		if (form.dataset.next) setTimeout(() => location.assign(form.dataset.next), 400);
		else busy.get(form)?.();
	} catch {
		clearTimeout(timer);
		busy.get(form)?.();
		tell("xlb:toast", { bad: true, text: word("lostDownload") });
	}
};

on("submit", (event) => {
	const form = event.target;
	// Without the Navigation API an answer that is a page, with a password, is the browser's to show.
	const isDownload =
		"download" in form.dataset && (window.navigation || !/^p12/.test(form.elements.format?.value));
	if (event.defaultPrevented || !(isDownload || "busy" in form.dataset)) return;
	if (busy.has(form)) {
		event.preventDefault();
		return;
	}
	const button = buttonOf(form, event);
	if (isDownload) {
		event.preventDefault();
		download(form, button);
		return;
	}
	setBusy(form, button, form.dataset.busy);
});

// The button names the file that it fetches.
on("change", ({ target }) => {
	if (!target.dataset.file) return;
	const text = textOf(target.form.querySelector("button[type=submit]"));
	text.data = text.data.replace(/\S+\s*$/, target.dataset.file);
});

const idle = () => [...busy.values()].forEach((undo) => undo());
addEventListener("pageshow", idle);
on("xlb:idle", idle);

// The page that shows a secret is the answer to a POST: a reload goes to
// another page and does not send it again.
const instead = document.querySelector("[data-replace-url]");
if (instead) {
	history.replaceState(null, "", new URL(instead.dataset.replaceUrl, location.href).pathname);
}

const begin = () => {
	busy.clear();
	(document.querySelector("[aria-invalid=true]") || document.querySelector("[data-error]"))?.focus();
	for (const button of document.querySelectorAll("button[data-reset]")) button.hidden = false;
};
begin();
on("xlb:page", begin);

// Reset puts one option back to its default; it is saved with the form.
on("click", (event) => {
	const button = event.target.closest("button[data-reset]");
	if (!button) return;
	const input = document.getElementById(button.dataset.for);
	input.value = button.dataset.reset;
	input.dispatchEvent(new Event("change", { bubbles: true }));
	input.focus();
	button.hidden = true;
});

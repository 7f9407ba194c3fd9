// Dialogs: a link to a page that asks something shows its question over the
// page that one is on. A new tab, and a browser without scripts, gets the page.

const fill = (dialog, doc) => {
	const part = document.importNode(doc.querySelector("[data-dialog-part]"), true);
	const heading = part.querySelector("h1");
	const title = document.createElement("h2");
	title.id = "dialog-h";
	title.textContent = heading.textContent;
	heading.replaceWith(title);
	dialog.replaceChildren(part);
	tell("xlb:swap");
	// What is wrong, the first field to type in, or the least harmful button.
	const find = (selector) => dialog.querySelector(selector);
	(find("[aria-invalid=true]") || find("input[type=text], select") || find("[data-keep]"))?.focus();
};

const open = async (link) => {
	const answer = await fetch(link.href);
	const doc = await pageOf(answer);
	if (!answer.ok || answer.redirected || !doc.querySelector("[data-dialog-part]")) return location.assign(link.href);
	const dialog = document.createElement("dialog");
	dialog.className = "dlg";
	dialog.setAttribute("aria-labelledby", "dialog-h");
	dialog.addEventListener("close", () => dialog.remove());
	document.body.append(dialog);
	dialog.showModal();
	fill(dialog, doc);
};

on("click", (event) => {
	if (event.target.closest("dialog [data-close]")) event.target.closest("dialog").close();
	const link = event.target.closest("a[data-dialog], dialog a[data-keep]");
	if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
	event.preventDefault();
	if ("keep" in link.dataset) link.closest("dialog").close();
	else open(link).catch(() => location.assign(link.href));
});

// An answer that asks again, because something was wrong, stays in the dialog.
on("xlb:again", ({ detail }) => fill(detail.dialog, detail.doc));

on("xlb:page", () => document.querySelector("dialog[open]")?.close());

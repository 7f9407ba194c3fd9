// Copying: one value, id and key together, and both as a file.

const value = (id) => {
	const el = document.getElementById(id);
	if (!el) return "";
	return (el.dataset.text || ("value" in el ? el.value : el.textContent)).trim();
};

const envText = (ids) => {
	const [id, key] = ids.split(/\s+/);
	return `XLB_CLIENT_ID=${value(id)}\nXLB_CLIENT_KEY=${value(key)}\n`;
};

// An icon button has no text to change: it gets a word for the two seconds.
const show = (button, text) => {
	let note = button.querySelector("[data-copied]");
	if (!note) {
		note = document.createElement("span");
		note.dataset.copied = "";
		button.append(note);
	}
	clearTimeout(Number(note.dataset.timer));
	note.textContent = text;
	note.hidden = false;
	button.classList.add("said");
	note.dataset.timer = setTimeout(() => {
		note.remove();
		button.classList.remove("said");
	}, 2000);
	say(text);
};

const select = (id) => {
	const el = document.getElementById(id);
	if (!el) return;
	if (el.select) {
		el.focus();
		el.select();
		return;
	}
	const range = document.createRange();
	range.selectNodeContents(el);
	const selection = getSelection();
	selection.removeAllRanges();
	selection.addRange(range);
};

// A secret that was copied or written into a file need not be held on to any more.
const saved = (el) => el.closest("[data-unsaved]")?.removeAttribute("data-unsaved");

const put = async (button, text, firstId) => {
	try {
		await navigator.clipboard.writeText(text);
		show(button, word("copied"));
		if (button.dataset.copyBoth || document.getElementById(firstId).dataset.secret !== undefined) saved(button);
	} catch {
		select(firstId);
		show(button, word("copyByHand"));
	}
};

on("click", (event) => {
	const button = event.target.closest("[data-copy], [data-copy-both], [data-env], [data-saved]");
	if (!button) return;
	const { copy, copyBoth, env } = button.dataset;
	if (copy) put(button, value(copy), copy);
	else if (copyBoth) put(button, envText(copyBoth), copyBoth.split(/\s+/)[1]);
	else if (env) {
		save(new Blob([envText(env)], { type: "text/plain" }), "xlb-client.env");
		saved(button);
	} else {
		button.closest(".secret").remove();
		toHeading();
	}
});

// One click into a value that can be copied selects all of it.
on("click", (event) => {
	const code = event.target.closest(".copy code[id]");
	if (code && getSelection().isCollapsed) select(code.id);
});

// Controls that need this script come hidden.
const reveal = () => {
	for (const el of document.querySelectorAll(
		"[data-copy][hidden], [data-copy-both][hidden], [data-env][hidden], [data-saved][hidden], [data-js][hidden]",
	)) {
		el.hidden = false;
	}
};
reveal();
on("xlb:swap", reveal);

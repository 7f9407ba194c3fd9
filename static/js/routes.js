// The list of routes in a form: add, remove, paste many, try each.

const wire = (form) => {
	const url = form.dataset.check;
	const list = form.querySelector("[data-rows]");
	const template = form.querySelector("template[data-row-template]");
	const name = form.querySelector("input[data-suggest]");
	if (!list) return;

	let edited = Boolean(name && name.value);
	if (name) name.addEventListener("input", () => (edited = name.value !== ""));

	const rows = () => [...list.querySelectorAll("[data-row]")];
	const inputOf = (row) => row.querySelector("input[name=route]");
	const timers = new WeakMap();
	const running = new WeakMap();
	const checked = new WeakMap();

	const check = async (row) => {
		clearTimeout(timers.get(row));
		const input = inputOf(row);
		const hint = row.querySelector("[data-hint]");
		const dest = input.value.trim();
		if (!url || !hint || checked.get(row) === dest) return;
		checked.set(row, dest);
		running.get(row)?.abort();
		if (!dest) {
			hint.replaceChildren();
			return;
		}
		const request = new AbortController();
		running.set(row, request);
		try {
			const answer = await fetch(url, {
				method: "POST",
				body: new URLSearchParams({ dest }),
				signal: request.signal,
			});
			if (!answer.ok) return;
			const markup = await answer.text();
			// A later value has its own answer.
			if (running.get(row) !== request || input.value.trim() !== dest) return;
			const page = parse(hint, markup);
			hint.replaceChildren(...[...page.body.childNodes].map((node) => document.importNode(node, true)));
			const suggested = answer.headers.get("X-Suggest-Name");
			if (name && !edited && suggested && document.activeElement !== name) name.value = suggested;
			tell("xlb:swap", hint);
		} catch {
			// The check is a help only; saving tells what is wrong.
			if (running.get(row) === request) checked.delete(row);
		}
	};

	let made = 0;
	const number = () => {
		rows().forEach((row, i) => {
			const input = inputOf(row);
			if (input.hasAttribute("aria-label")) input.setAttribute("aria-label", word("route", i + 1));
			const remove = row.querySelector("[data-remove]");
			if (!remove) return;
			remove.hidden = rows().length === 1;
			if (remove.hasAttribute("aria-label")) {
				remove.setAttribute("aria-label", word("removeRoute", i + 1));
			}
		});
	};

	const add = (after) => {
		if (!template) return null;
		const row = template.content.firstElementChild.cloneNode(true);
		const hint = row.querySelector("[data-hint]");
		if (hint) {
			hint.id = `hint-added-${++made}`;
			inputOf(row).setAttribute("aria-describedby", hint.id);
		}
		if (after) after.after(row);
		else list.append(row);
		number();
		return row;
	};

	const paste = (row, list) => {
		let at = row;
		list.forEach((one, i) => {
			if (i > 0 || inputOf(at).value.trim()) at = add(at) || at;
			inputOf(at).value = one;
			check(at);
		});
		inputOf(at).focus();
	};

	form.addEventListener("click", (event) => {
		if (event.target.closest("[data-add-row]")) {
			event.preventDefault();
			const row = add(null);
			if (row) inputOf(row).focus();
			return;
		}
		const remove = event.target.closest("[data-remove]");
		const row = remove?.closest("[data-row]");
		if (!row) return;
		event.preventDefault();
		const all = rows();
		if (all.length === 1) return;
		const near = all[all.indexOf(row) + 1] || all[all.indexOf(row) - 1];
		running.get(row)?.abort();
		row.remove();
		number();
		inputOf(near).focus();
	});

	const rowOf = (event) =>
		event.target.matches("input[name=route]") ? event.target.closest("[data-row]") : null;

	form.addEventListener("paste", (event) => {
		const row = rowOf(event);
		if (!row || !template) return;
		const list = event.clipboardData.getData("text").split(/[\s,;]+/).filter(Boolean);
		if (list.length < 2) return;
		event.preventDefault();
		const input = event.target;
		// A selection of everything is replaced, other text stays.
		if (input.selectionEnd - input.selectionStart === input.value.length) input.value = "";
		paste(row, list);
		offer();
	});

	// The demo upstream is for who has nothing to type.
	const demo = form.querySelector("[data-demo]");
	const offer = () => {
		if (demo) demo.hidden = rows().some((row) => inputOf(row).value.trim());
	};

	form.addEventListener("input", (event) => {
		offer();
		const row = rowOf(event);
		if (!row) return;
		event.target.removeAttribute("aria-invalid");
		clearTimeout(timers.get(row));
		timers.set(row, setTimeout(check, 500, row));
	});

	form.addEventListener("focusout", (event) => {
		const row = rowOf(event);
		// What the server said about a value stays until the value changes.
		if (row && event.target.value !== event.target.defaultValue) check(row);
	});

	// The spare rows of a form that has routes are for pages without scripts.
	const filled = rows().filter((row) => inputOf(row).value);
	if (filled.length > 0) {
		for (const row of rows()) if (!inputOf(row).value) row.remove();
	}
	for (const button of form.querySelectorAll("[data-add-row][hidden]")) button.hidden = false;
	number();
};

const wireAll = () => document.querySelectorAll("form[data-check]").forEach(wire);
wireAll();
on("xlb:page", wireAll);

// Toasts: at most three, six seconds each, longer under pointer or focus;
// errors stay until they are closed.

const box = document.getElementById("toasts");

const toast = ({ text, bad, undo }) => {
	const el = document.createElement("div");
	el.className = bad ? "toast bad" : "toast";
	el.setAttribute("role", bad ? "alert" : "status");
	const line = document.createElement("span");
	line.textContent = text;
	const row = document.createElement("div");
	row.className = "row";
	const close = document.createElement("button");
	close.type = "button";
	close.className = "btn s ghost";
	close.textContent = word("close");
	close.addEventListener("click", () => el.remove());
	if (undo) {
		undo.addEventListener("submit", () => el.remove());
		row.append(undo);
	}
	row.append(close);
	el.append(line, row);
	box.append(el);
	while (box.children.length > 3) box.firstElementChild.remove();
	if (bad) return;
	const leave = () => {
		if (el.matches(":hover") || el.contains(document.activeElement)) setTimeout(leave, 1000);
		else el.remove();
	};
	setTimeout(leave, 6000);
};

on("xlb:toast", ({ detail }) => toast(detail));

// What the page says about an act that can be undone goes beside it.
const take = () => {
	const note = document.querySelector("[data-toast]");
	if (!note) return;
	note.remove();
	toast({ text: note.querySelector("b").textContent, undo: note.querySelector("form") });
};
take();
on("xlb:page", take);

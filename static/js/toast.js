// Toasts: at most three, six seconds each, longer under pointer or focus;
// errors stay until they are closed.

const box = document.getElementById("toasts");

const toast = ({ text, bad }) => {
	const el = document.createElement("div");
	el.className = `note toast ${bad ? "bad" : ""}`;
	el.setAttribute("role", bad ? "alert" : "status");
	const words = document.createElement("span");
	words.textContent = text;
	const close = document.createElement("button");
	close.type = "button";
	close.className = "btn s ghost";
	close.textContent = "Close";
	close.addEventListener("click", () => el.remove());
	el.append(words, close);
	box.append(el);
	while (box.children.length > 3) box.firstElementChild.remove();
	if (bad) return;
	const leave = () => {
		if (el.matches(":hover") || el.contains(document.activeElement)) setTimeout(leave, 1000);
		else el.remove();
	};
	setTimeout(leave, 6000);
};

document.addEventListener("xlb:toast", ({ detail }) => toast(detail));

// Toasts: at most three, six seconds each, longer under pointer or focus;
// errors stay until they are closed.

const box = document.getElementById("toasts");

const toast = ({ text, bad }) => {
	const el = document.createElement("div");
	el.className = bad ? "toast bad" : "toast";
	el.setAttribute("role", bad ? "alert" : "status");
	const line = document.createElement("span");
	line.textContent = text;
	const close = document.createElement("button");
	close.type = "button";
	close.className = "btn s ghost";
	close.textContent = word("close");
	close.addEventListener("click", () => el.remove());
	el.append(line, close);
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

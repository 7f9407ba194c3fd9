// One polite place for what only the eye would notice.

let region = document.getElementById("announce");
if (!region) {
	region = document.createElement("div");
	region.id = "announce";
	region.className = "vh";
	region.setAttribute("role", "status");
	document.body.append(region);
}

on("xlb:say", (event) => {
	// The same words twice are only heard when they change in between.
	region.textContent = "";
	setTimeout(() => {
		region.textContent = event.detail;
	}, 50);
});

// What several parts use.

// word is a text of the page's language; {} in it becomes value.
const words = JSON.parse(document.body.dataset.words || "{}");
const word = (key, value) => (words[key] || key).replace("{}", value);

// Parts talk through events of the document.
const on = (name, listener, first) => document.addEventListener(name, listener, first);
const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

// say announces what only the eye would notice.
const say = (text) => tell("xlb:say", text);

// save has the browser keep a blob as a file.
const save = (blob, name) => {
	const url = URL.createObjectURL(blob);
	const link = document.createElement("a");
	link.href = url;
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), 10000);
};

// How many requests for a page are under way: under.way.
const under = { way: 0 };

// pageOf is the page that an answer brings.
const pageOf = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

// toHeading puts the focus on the heading of the page.
const toHeading = () => {
	const heading = document.querySelector("#main h1");
	if (!heading) return;
	heading.tabIndex = -1;
	heading.focus({ preventScroll: true });
};

// parse makes a document of what is to come into an element. Parts of a table
// parse only inside of one.
const parse = (el, markup) => {
	const inTable = ["tbody", "thead", "tfoot", "tr"].includes(el.localName);
	return new DOMParser().parseFromString(inTable ? `<table>${markup}</table>` : markup, "text/html");
};

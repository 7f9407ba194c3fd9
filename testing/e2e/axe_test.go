package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeSource is the checker of accessibility rules, as npm brought it.
var axeSource = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(filepath.Join("..", "..", "node_modules", "axe-core", "axe.min.js"))
	return string(text), err
})

// findings is what axe finds on the page, in words. WCAG 2.2 A and AA, and its own best practices. While a message lies over the
// page, what is below it is no target.
const findings = `(async () => {
	const found = await axe.run(document, { resultTypes: ["violations"], rules: { "target-size": { enabled: !document.querySelector(".toast") } } });
	return found.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map((n) => "  " + n.html.slice(0, 200) + "\n  " + n.failureSummary).join("\n"));
})()`

// smallTargets lists what is too low for a thumb: buttons, fields and tabs of a narrow window.
const smallTargets = `innerWidth >= 720 ? [] : [...document.querySelectorAll(".btn:not(.icon), .tabs a, .nav a, .input, summary.btn")]
	.filter((e) => e.checkVisibility() && !e.closest(".side .find") && e.getBoundingClientRect().height < 39.5)
	.slice(0, 5).map((e) => Math.round(e.getBoundingClientRect().height) + " " + e.outerHTML.slice(0, 120))`

// checkAccess fails the test for every rule that the page breaks as it is now.
func (b *tab) checkAccess(name string) {
	b.t.Helper()
	source, err := axeSource()
	if err != nil {
		b.t.Fatalf("axe is missing: make assets (%v)", err)
	}
	if !b.scripted { // the checker is a script; those of the page have not run and do not now
		b.run("scripts on", emulation.SetScriptExecutionDisabled(false))
		defer b.run("scripts off", emulation.SetScriptExecutionDisabled(true))
	}
	var ready bool
	if ok, err := b.look(`window.axe ? true : null`, &ready); !ok || err != nil {
		b.until("load axe", source+`; Boolean(window.axe)`, &ready)
	}
	var broken []string
	b.run("axe", chromedp.Evaluate(findings, &broken, awaits))
	var small []string
	b.run("sizes", chromedp.Evaluate(smallTargets, &small))
	if len(small) > 0 {
		b.t.Errorf("%s: less than 40 pixels high on a phone:\n  %s", name, strings.Join(small, "\n  "))
	}
	for _, rule := range broken {
		b.t.Errorf("%s: %s", name, rule)
	}
}

// accessChecked says in which looks a page is checked: half of the pages wide and light, the others narrow and dark, and each
// of them in all four in make check. Seconds go by for each look.
func accessChecked(name string, width int64, theme string) bool {
	if os.Getenv("XLB_AXE") == "full" {
		return true
	}
	wide := len(name)%2 == 0
	return (width > 500) == wide && (theme == "light") == wide
}

// awaits waits for what a promise becomes.
func awaits(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

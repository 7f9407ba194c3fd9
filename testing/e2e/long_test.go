package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// What is long and legal keeps the layout, in every window from the smallest phone to a wide screen.
func TestLongInputFits(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp(strings.Repeat("W", 64))
	host := strings.Repeat("a", 60) + "." + strings.Repeat("b", 19) + ".internal:54321" // a host of 89 characters
	frontend := b.newFrontend(strings.Repeat("M", 64), host, "[fd12:3456:789a:bcde:f012:3456:789a:bcde]:65535", upstream(t, "one"))
	b.press("Key and lifetime")
	b.fill("#certificate-name", strings.Repeat("Q", 64))
	b.follow("Download xlb-")
	identity := unzip(t, b.downloaded(".zip"))
	identity.hold(t)
	b.open("/certificates")
	var one string
	b.until("the page of the certificate", `document.querySelector("#main tbody a[href*=certificates]")?.getAttribute("href") ?? null`, &one)
	pages := []string{
		"/", "/frontends", "/frontends?q=" + strings.Repeat("x", 64), "/frontends/new", frontend, frontend + "/settings", frontend + "/connections",
		frontend + "/connect?tool=psql", frontend + "/certificate", frontend + "/delete", "/certificates", "/certificates/new", one, one + "/revoke",
		"/activity", "/account", "/account/delete", "/nothing/" + strings.Repeat("y", 200),
	}
	b.allow("404")
	for _, page := range pages {
		b.open(page)
		for _, width := range []int64{320, 375, 719, 720, 959, 1199, 1200, 1440, 1920} {
			b.run("resize", emulation.SetDeviceMetricsOverride(width, 900, 1, false))
			var over int
			b.until(fmt.Sprintf("a window of %d pixels", width),
				fmt.Sprintf(`innerWidth === %d ? document.scrollingElement.scrollWidth - %[1]d : null`, width), &over)
			if over > 0 {
				b.t.Errorf("%s is %d pixels wider than a window of %d: %s", page, over, width, b.widest(width))
			}
		}
	}
}

// widest names the elements that stick out.
func (b *tab) widest(width int64) string {
	var names []string
	b.look(fmt.Sprintf(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d + 1 && e.checkVisibility()).slice(0, 4).map((e) => e.outerHTML.slice(0, 100))`, width), &names)
	return strings.Join(names, "\n")
}

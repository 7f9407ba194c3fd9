package web

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

var optionRow = regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+)` \\| .* \\| ([0-9,]+), ([0-9,]+) to ([0-9,]+) \\|$")

// Every default and bound of an option that the documents tell is the one that holds.
func TestDocumentedOptionsAreTheRealOnes(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	must(t, err)
	c := start(t).signUp("testuser")
	fresh := c.call("GET", "/api/v1/client/frontend/"+c.frontend("10.0.0.1:80"), "").object(t)
	number := func(text string) int64 {
		n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
		must(t, err)
		return n
	}
	bounds := control.OptionBounds()
	for _, row := range optionRow.FindAllStringSubmatch(string(text), -1) {
		field := row[1]
		bound, known := bounds[field]
		if !known {
			continue // of something else than a frontend
		}
		delete(bounds, field)
		value := any(fresh)
		for _, step := range strings.Split(field, ".") {
			value = value.(map[string]any)[step]
		}
		if value != float64(number(row[2])) || bound.Low != number(row[3]) || bound.High != number(row[4]) {
			t.Errorf("%s: the document says %s, %s to %s; it is %v, %d to %d", field, row[2], row[3], row[4], value, bound.Low, bound.High)
		}
	}
	for field := range bounds {
		t.Errorf("the document does not tell about %s", field)
	}
}

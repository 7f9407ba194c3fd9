package lb

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// The list of reasons is written by hand beside the constants.
func TestReasonsAreTheConstants(t *testing.T) {
	text, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []Reason
	for _, found := range regexp.MustCompile(`(?m)^\tReason\w+ +Reason = "([a-z-]+)"`).FindAllSubmatch(text, -1) {
		declared = append(declared, Reason(found[1]))
	}
	listed := Reasons()
	slices.Sort(declared)
	slices.Sort(listed)
	if len(declared) == 0 || !slices.Equal(declared, listed) {
		t.Errorf("the constants are\n%v, the list is\n%v", declared, listed)
	}
}

package store

import (
	"os"
	"os/exec"
	"testing"
)

// All tests but those of Badger's files, over the other engines: what the records need is what Engine says, and nothing that
// Badger does beyond it.
func TestEveryEngineKeepsTheContract(t *testing.T) {
	badgerOnly(t) // this is the other process
	for name := range engines {
		if name == "badger" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), os.Args[0], "-engine", name, "-test.timeout", "5m").CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

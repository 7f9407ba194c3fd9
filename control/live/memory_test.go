package live

import (
	"runtime/debug"
	"testing"
)

func TestGarbageGathersWhileTheHeapIsSmall(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 10 << 20: 400, 16 << 20: 400, 17 << 20: 300, 32 << 20: 200, 64 << 20: 100, 8 << 30: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d MB: %d %%, want %d", live>>20, got, want)
		}
	}
}

// Whoever sets GOGC means it.
func TestChosenPercentageStays(t *testing.T) {
	percent := func() int {
		was := debug.SetGCPercent(usualPercent)
		debug.SetGCPercent(was)
		return was
	}
	before := percent()
	defer debug.SetGCPercent(before)
	for chosen, want := range map[int]int{50: 50, -1: -1, usualPercent: mostPercent} {
		debug.SetGCPercent(chosen)
		p := newGCPace()
		p.adjust()
		if got := percent(); got != want && !(chosen == usualPercent && got > usualPercent) {
			t.Errorf("GOGC %d became %d, want %d", chosen, got, want)
		}
		p.restore()
		if got := percent(); got != chosen {
			t.Errorf("GOGC %d is %d at the end", chosen, got)
		}
	}
}

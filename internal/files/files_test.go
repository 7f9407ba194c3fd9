package files

import "testing"

// What is given away fits into the limit, with a reserve, from a small process to one without bounds.
func TestShare(t *testing.T) {
	for limit, want := range map[uint64]Budget{
		256:       {64, 32, 32, 48},
		1024:      {256, 128, 128, 192},
		20_000:    {625, 312, 312, 9219},
		1_048_576: {1024, 512, 1024, 522_752},
	} {
		got := Share(limit)
		if got != want {
			t.Errorf("%d files: got %+v, want %+v", limit, got, want)
		}
		if used := got.Handshakes + got.Strangers + got.Clients + 2*got.Connections; uint64(used) > limit-min(limit/8, 128) {
			t.Errorf("%d files: %d are given away, which leaves no reserve", limit, used)
		}
	}
	if got := Share(1 << 63).Connections; got < 1<<29 {
		t.Errorf("without a limit %d connections", got)
	}
}

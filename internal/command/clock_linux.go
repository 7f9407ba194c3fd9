package command

import "golang.org/x/sys/unix"

// clockKept asks the kernel whether a program keeps its clock right (adjtimex(2), STA_UNSYNC).
func clockKept() (kept, known bool) {
	var state unix.Timex
	if _, err := unix.Adjtimex(&state); err != nil {
		return false, false
	}
	return state.Status&unix.STA_UNSYNC == 0, true
}

// Package files shares out the files that the process may open, so that whoever takes many of one kind leaves those
// that the others need: the store, the log, checks and the operations port have what is not given away here.
package files

// Budget is how many connections of each kind the files carry. One to the data plane that is admitted takes two files,
// the others one.
type Budget struct {
	Handshakes  int // on the data plane
	Strangers   int // of the control plane, on which nobody has logged in
	Clients     int // of the control plane, on which somebody has
	Connections int // admitted on the data plane
}

// least is what each kind has, however few files there are.
const least = 16

// Share divides a limit of open files. Where there are few, the parts are large, because a handful is of no use to
// anybody; where there are many, nearly all are for connections. A reserve of an eighth at first, and 512 at last, is in
// no part.
func Share(limit uint64) Budget {
	b := Budget{
		Handshakes: part(limit, 4, 256, 32, 1024),
		Strangers:  part(limit, 8, 128, 64, 512),
		Clients:    part(limit, 8, 128, 64, 1024),
	}
	reserve := part(limit, 8, 128, 64, 512)
	given := b.Handshakes + b.Strangers + b.Clients + reserve
	b.Connections = max(least, (int(min(limit, 1<<31))-given)/2)
	return b
}

// part is a fraction of the limit while that is small, then a smaller one, up to most.
func part(limit, first, enough, then, most uint64) int {
	n := max(min(limit/first, enough), limit/then)
	return int(max(least, min(n, most)))
}

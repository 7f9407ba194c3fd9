package control

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"
	"time"
)

// Log-ins with an id that exists and with one that does not take the same time: who measures must not find out which ids
// there are. The two are measured in turns, so that what else goes on meets both. z is how many standard deviations the sum
// of ranks is from that of two samples of one distribution (Mann and Whitney, 1947). What is left inside of the process is
// about ten nanoseconds of six hundred, which a map takes longer to miss; a network adds thousands to each.
//
//	go test ./control -bench LogIns -benchtime 60000x
func BenchmarkLogInsOfKnownAndUnknownIDs(b *testing.B) {
	c := start(b)
	ctx := WithActor(context.Background(), Actor{Local: true})
	// Many of each: where the one record of a single client happens to lie is worth ten nanoseconds.
	const ids = 200
	var real, madeUp []string
	for range ids {
		client, err := c.CreateClient(ctx, "testuser", "")
		if err != nil {
			b.Fatal(err)
		}
		real = append(real, client.ID)
		madeUp = append(madeUp, newID())
	}
	wrong := "0123456789012345678901234567890123456789012345678901234567890123"
	measure := func(id string) time.Duration {
		began := time.Now()
		_, err := c.Authenticate(ctx, id, wrong)
		took := time.Since(began)
		if KindOf(err) != KindUnauthenticated {
			b.Fatal(err)
		}
		return took
	}
	var known, others []time.Duration
	for i := 0; b.Loop(); i++ {
		// Which comes first changes each time: the second finds warmer caches.
		if i%2 == 0 {
			known = append(known, measure(real[i/2%ids]))
			others = append(others, measure(madeUp[i/2%ids]))
		} else {
			others = append(others, measure(madeUp[i/2%ids]))
			known = append(known, measure(real[i/2%ids]))
		}
	}
	b.ReportMetric(float64(median(known)), "known-ns")
	b.ReportMetric(float64(median(others)), "unknown-ns")
	b.ReportMetric(rankSum(known, others), "z")
	b.ReportMetric(0, "ns/op") // of both together, which nobody asks for
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// rankSum is how far the ranks of a are from those that it would have if both came from one distribution, in standard
// deviations. Ties share their ranks.
func rankSum(a, b []time.Duration) float64 {
	type sample struct {
		took time.Duration
		ofA  bool
	}
	var all []sample
	for _, took := range a {
		all = append(all, sample{took, true})
	}
	for _, took := range b {
		all = append(all, sample{took, false})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	sum := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].took == all[i].took {
			j++
		}
		shared := float64(i+1+j) / 2 // ranks i+1 to j
		for ; i < j; i++ {
			if all[i].ofA {
				sum += shared
			}
		}
	}
	n, m := float64(len(a)), float64(len(b))
	return (sum - n*(n+m+1)/2) / math.Sqrt(n*m*(n+m+1)/12)
}

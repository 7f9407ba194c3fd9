package heap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type item struct{ value, index int }

// Whatever comes and goes: the first is on top, and each item knows where it is.
func TestHeapKeepsItsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := New(func(a, b *item) bool { return a.value < b.value }, func(i *item) *int { return &i.index })
		var inside []*item
		value := rapid.IntRange(0, 20)
		some := func(t *rapid.T) *item {
			if len(inside) == 0 {
				t.Skip("empty")
			}
			return rapid.SampledFrom(inside).Draw(t, "item")
		}
		out := func(gone *item) {
			if gone.index != -1 {
				t.Fatalf("it is out and has place %d, want %d", gone.index, -1)
			}
			inside = slices.DeleteFunc(inside, func(i *item) bool { return i == gone })
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				one := &item{value.Draw(t, "value"), -1}
				h.Push(one)
				inside = append(inside, one)
			},
			"pop":    func(t *rapid.T) { some(t); out(h.Pop()) },
			"remove": func(t *rapid.T) { one := some(t); h.Remove(one); out(one) },
			"fix": func(t *rapid.T) {
				one := some(t)
				one.value = value.Draw(t, "value")
				h.Fix(one)
			},
			"": func(t *rapid.T) {
				if h.Len() != len(inside) {
					t.Fatalf("%d in it, want %d", h.Len(), len(inside))
				}
				for _, one := range inside {
					if h.items.all[one.index] != one || one.value < h.Top().value {
						t.Fatalf("%+v is not where it says, or before the top %+v", one, h.Top())
					}
				}
			},
		})
	})
}

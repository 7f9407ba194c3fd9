package views

import "math/rand/v2"

// SuggestClient is a name for a client that has not thought of one: two words, which people remember and which collide
// seldom enough. Names need not be unique.
func SuggestClient() string {
	return manners[rand.IntN(len(manners))] + "-" + places[rand.IntN(len(places))]
}

var manners = [...]string{
	"amber", "brave", "bright", "brisk", "calm", "clear", "clever", "crisp", "early", "eager", "fair", "fleet", "fresh", "gentle", "glad", "golden",
	"green", "happy", "keen", "kind", "light", "lively", "lucky", "mellow", "mild", "neat", "nimble", "noble", "patient", "plain", "polite", "prime",
	"proud", "quick", "quiet", "rapid", "ready", "red", "rich", "round", "royal", "silent", "silver", "simple", "smooth", "solid", "spare", "steady",
	"still", "strong", "sunny", "swift", "tidy", "true", "vivid", "warm", "whole", "wide", "wild", "wise", "witty", "young", "zesty", "blue",
}

var places = [...]string{
	"arbor", "bay", "beacon", "bridge", "brook", "canyon", "castle", "cedar", "cliff", "coast", "cove", "creek", "delta", "dock", "dune", "fen",
	"ferry", "field", "fjord", "forest", "garden", "glade", "glen", "grove", "harbor", "heath", "hill", "island", "lagoon", "lake", "lane", "ledge",
	"lock", "marsh", "meadow", "mesa", "mill", "moor", "oak", "orchard", "pass", "path", "peak", "pier", "pine", "plain", "pond", "port",
	"prairie", "quay", "reef", "ridge", "river", "rock", "shore", "spring", "stone", "stream", "summit", "tower", "trail", "vale", "valley", "wood",
}

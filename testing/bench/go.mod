module github.com/xdire/xlb/testing/bench

go 1.26.0

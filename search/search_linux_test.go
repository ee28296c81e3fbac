package search

import "testing"

func TestX(t *testing.T) {}

// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContrast sees that what is written, and each mark, can be told from its ground in light and
// dark, as WCAG 2.2 asks (1.4.3, 1.4.11).
func TestContrast(t *testing.T) {
	pairs := map[string][2]string{} // of colours, for light and dark
	for _, m := range regexp.MustCompile(`(?m)^  --([a-z0-9-]+): (?:light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)|(#[0-9a-f]+));$`).FindAllStringSubmatch(asset("page.css"), -1) {
		if m[4] != "" {
			m[2], m[3] = m[4], m[4]
		}
		pairs[m[1]] = [2]string{m[2], m[3]}
	}
	require.Greater(t, len(pairs), 80)
	type rule struct {
		ink, ground string
		least       float64
	}
	const text, shape = 4.5, 3
	var rules []rule
	for name := range pairs {
		switch {
		case strings.HasSuffix(name, "-bar"):
			rules = append(rules, rule{"ink", name, text})
		case strings.HasSuffix(name, "-ground"):
			rules = append(rules, rule{strings.TrimSuffix(name, "-ground"), name, text})
		case name == "flag-ink":
			rules = append(rules, rule{name, "flag", text})
		case strings.HasSuffix(name, "-ink") && name != "focus-ink":
			rules = append(rules, rule{name, "ground", text})
		case strings.HasPrefix(name, "mark-"):
			rules = append(rules, rule{name, "ground", shape}, rule{name, "runs-bar", shape}, rule{name, "header", shape})
		}
	}
	for _, ground := range []string{"ground", "axis", "card", "header", "section"} {
		rules = append(rules, rule{"ink", ground, text}, rule{"ink2", ground, text}, rule{"accent", ground, text}, rule{"quiet", "ground", text})
	}
	for _, colour := range []string{"accent", "found", "bad", "syn", "fin", "rst", "data", "fault", "storm", "wait"} {
		rules = append(rules, rule{colour, "ground", shape})
	}
	for _, r := range rules {
		for i, theme := range []string{"light", "dark"} {
			require.Contains(t, pairs, r.ink)
			got := contrast(t, pairs[r.ink][i], pairs[r.ground][i])
			assert.GreaterOrEqual(t, got, r.least, fmt.Sprintf("%s on %s, %s", r.ink, r.ground, theme))
		}
	}
}

// contrast is the ratio of the luminances of two colours, from 1 to 21.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	require.Len(t, colour, len("#rrggbb"), colour)
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

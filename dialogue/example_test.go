// SPDX-License-Identifier: Apache-2.0

package dialogue_test

import (
	"fmt"

	"forkrig/dialogue"
)

func ExampleParse() {
	d, err := dialogue.Parse(`< "220 " .. "\r\n"  > "NOOP\r\n" < "250" .. "\r\n"`)
	fmt.Println(d, err)
	_, err = dialogue.Parse(`> 'PING' < "+PONG\r\n"`)
	fmt.Println(err)
	// Output:
	// hello < "220 " .. "\r\n" round > "NOOP\r\n" < "250" .. "\r\n" <nil>
	// dialogue, column 3, at `'PING'`: this is not part of a dialogue: write hello, round, bye, >, <, "text", x"hex", a number, /re/, .. or eof
}

func ExampleMatcher() {
	d, _ := dialogue.Parse(`> "NOOP {n}\r\n" < "250 " .. "\r\n"`)
	m := dialogue.NewMatcher(d.Round[1], 1, 0)
	for _, came := range []string{"25", "0 ok\r", "\n220 more"} {
		fmt.Println(m.Feed([]byte(came)))
	}
	// Output:
	// 2 false <nil>
	// 5 false <nil>
	// 1 true <nil>
}

func ExampleResolve() {
	s, _ := dialogue.Resolve("smtp")
	fmt.Println(s.Abilities, s.Lacks(dialogue.Answers, dialogue.Distinguishes))
	// Output: [answers repeats server closes] distinguishes
}

// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

func answer(id, value string) probes.Answer {
	a := probes.Answer{ID: id, Name: "question " + id, Source: "commit of " + id}
	switch {
	case strings.HasPrefix(value, "missing: "):
		a.Missing = strings.TrimPrefix(value, "missing: ")
	case strings.HasPrefix(value, "broken: "):
		a.Broken = strings.TrimPrefix(value, "broken: ")
	default:
		a.Value = value
	}
	return a
}

// column is a kernel with answers such as "K15=OK".
func column(kernel string, answers ...string) Column {
	c := Column{Kernel: kernel}
	for _, text := range answers {
		id, value, _ := strings.Cut(text, "=")
		c.Answers = append(c.Answers, answer(id, value))
	}
	return c
}

func tableOf(columns ...Column) Table { return Table{Schema: Schema, Kernels: columns} }

// cellsOf returns the cells of the row whose name begins with a word, or nil.
func cellsOf(rows []Row, name string) []string {
	for _, row := range rows {
		if strings.HasPrefix(row.Name, name) {
			return row.Cells
		}
	}
	return nil
}

func TestProbesThatDiffer(t *testing.T) {
	rows, same := tableOf(
		column("6.1.1", "K1=OK", "K2=OK", "K3=missing: kTLS"),
		column("6.2.1", "K2=EINVAL", "K1=OK", "K3=OK", "K4=only here", "K5=a"),
		column("6.3.1", "K1=OK", "K5=b"),
	).Probes()
	assert.Equal(t, 2, same, "K1, and K4, of which only one kernel says something")
	require.Len(t, rows, 3)
	assert.Equal(t, []string{"OK", "EINVAL", Nothing}, cellsOf(rows, "K2"))
	assert.Equal(t, []string{"missing: kTLS", "OK", Nothing}, cellsOf(rows, "K3"))
	assert.Equal(t, []string{Nothing, "a", "b"}, cellsOf(rows, "K5"))
	assert.Equal(t, Row{Name: "K2 question K2", Source: "commit of K2", Cells: rows[0].Cells, Repeat: []string{"-jobs", "probes", "-probes", "K2"}}, rows[0])

	rows, same = tableOf(column(Host, "K1=OK", "K2=broken: no answer")).Probes()
	assert.Len(t, rows, 2, "of one kernel all")
	assert.Zero(t, same)
	rows, same = tableOf(Column{Kernel: "lost"}, Column{Kernel: "lost, too"}).Probes()
	assert.Empty(t, rows)
	assert.Zero(t, same)
}

// TestUnexplained marks what a release and the change do not explain. K15 came with 6.13, 6.12.10,
// 6.1.125 and 5.10.234.
func TestUnexplained(t *testing.T) {
	for name, v := range map[string]struct {
		columns []Column
		odd     string
	}{
		"as it should be":                {[]Column{column("6.1.1", "K15=0"), column("6.12.9", "K15=0"), column("6.12.10", "K15=1"), column("7.3.4", "K15=1")}, "...."},
		"has it against its number":      {[]Column{column("6.1.1", "K15=0"), column("6.2.1", "K15=1"), column("6.12.10", "K15=1"), column("7.3.4", "K15=1")}, ".!.."},
		"lacks it against its number":    {[]Column{column("6.1.1", "K15=0"), column("6.2.1", "K15=0"), column("7.2.1", "K15=0"), column("7.3.4", "K15=1")}, "..!."},
		"is unlike those with it":        {[]Column{column("6.1.1", "K15=0"), column("6.13.1", "K15=1"), column("7.2.1", "K15=1"), column("7.3.4", "K15=2")}, "...!"},
		"one against one":                {[]Column{column("7.2.1", "K15=0"), column("7.3.4", "K15=1")}, ".."},
		"missing is no answer":           {[]Column{column("6.1.1", "K15=0"), column("6.13.1", "K15=missing: x"), column("7.2.1", "K15=1"), column("7.3.4", "K15=broken: y")}, "...."},
		"of one the release is unknown":  {[]Column{column("6.1.1", "K15=0"), column(Host, "K15=0"), column("6.2.1", "K15=1"), column("6.12.10", "K15=1"), column("7.3.4", "K15=1")}, "..!.."},
		"of a change that is not listed": {[]Column{column("6.1.1", "K1=0"), column("6.2.1", "K1=0"), column("7.3.4", "K1=1")}, ""},
	} {
		rows, _ := tableOf(v.columns...).Probes()
		require.Len(t, rows, 1, name)
		got := ""
		for _, odd := range rows[0].Unexplained {
			got += map[bool]string{true: "!", false: "."}[odd]
		}
		assert.Equal(t, v.odd, got, name)
	}
}

func TestBindsThatDiffer(t *testing.T) {
	row := func(first, answers string) probes.BindRow {
		return probes.BindRow{State: probes.Bound, First: first, Second: "::", Answers: answers}
	}
	rows, same := tableOf(
		Column{Kernel: "6.1.1", Binds: []probes.BindRow{row("0.0.0.0", ".... bbbb .... bbbb"), row("::1", "bbbb bbbb bbbb bbbb")}},
		Column{Kernel: "6.2.1", Binds: []probes.BindRow{row("0.0.0.0", ".... bbbb .... bbbb"), row("::1", "bbbb bbbb bbbb bbb.")}},
	).Binds()
	assert.Equal(t, 1, same)
	require.Len(t, rows, 1)
	assert.Equal(t, []string{"bound", "same-user", "::1", "::"}, strings.Fields(rows[0].Name))
	assert.Equal(t, []string{"bbbb bbbb bbbb bbbb", "bbbb bbbb bbbb bbb."}, rows[0].Cells)
}

func checked(kernel string, results ...scorecard.Result) Column {
	return Column{Kernel: kernel, Card: &scorecard.Card{Complete: true, Checks: results}}
}

func result(name, family string, verdict scorecard.Verdict, findings ...string) scorecard.Result {
	return scorecard.Result{Name: name, Family: family, Verdict: verdict, Findings: findings}
}

func TestChecksThatDiffer(t *testing.T) {
	missing := result("reset", "IPv4", scorecard.Skip)
	missing.Missing = "sock-destroy"
	rows, same := tableOf(
		checked("6.1.1", result("reap", "IPv4", "pass"), result("reap", "IPv6", "pass"), result("term", "IPv4", "pass"), result("term", "IPv6", "pass"),
			missing, result("eintr", "IPv4", "pass"), result("eintr", "IPv6", "pass")),
		checked("6.2.1", result("reap", "IPv4", "fail", "zombies", "orphans"), result("reap", "IPv6", "pass"), result("term", "IPv4", "warn"), result("term", "IPv6", "warn"),
			result("reset", "IPv4", "pass"), result("eintr", "IPv4", "pass"), result("eintr", "IPv6", "pass")),
		Column{Kernel: "lost"},
	).Checks()
	require.Len(t, rows, 3)
	assert.Equal(t, 2, same, "reap over IPv6, and eintr")
	assert.Equal(t, Row{Name: "reap IPv4", Cells: []string{"pass", "fail (zombies, orphans)", Nothing}, Repeat: []string{"-jobs", "card", "-checks", "reap", "-family", "4"}}, rows[0])
	assert.Equal(t, Row{Name: "term", Cells: []string{"pass", "warn", Nothing}, Repeat: []string{"-jobs", "card", "-checks", "term"}}, rows[1])
	assert.Equal(t, []string{"skip (no sock-destroy)", "pass", Nothing}, rows[2].Cells)

	rows, same = tableOf(checked("6.1.1", result("reap", "IPv4", "fail"), result("term", "IPv4", "pass"), result("warned", "IPv4", "warn")),
		checked("6.2.1", result("reap", "IPv4", "fail"), result("term", "IPv4", "pass"), result("warned", "IPv4", "warn"))).Checks()
	require.Len(t, rows, 1, "what fails on all kernels is told")
	assert.Equal(t, []string{"fail", "fail"}, rows[0].Cells)
	assert.Equal(t, 2, same)
}

func TestDiff(t *testing.T) {
	old := tableOf(
		Column{Kernel: "6.12", Found: "6.12.43", Answers: column("", "K17=accept does not return", "K15=1", "K21=missing: kTLS").Answers,
			Binds: []probes.BindRow{{State: probes.Bound, First: "::", Second: "::1", Answers: "bbbb bbbb bbbb bbbb"}}},
		checked("6.18", result("reap", "IPv4", "pass")),
		column("5.10", "K15=0"),
	)
	new := tableOf(
		Column{Kernel: "6.12", Found: "6.12.118", Answers: column("", "K17=accept returns", "K15=1", "K21=OK").Answers,
			Binds: []probes.BindRow{{State: probes.Bound, First: "::", Second: "::1", Answers: "bbbb bbbb bbbb bbb."}}},
		checked("6.18", result("reap", "IPv4", "pass"), result("term", "IPv4", "pass")),
		column("7.3", "K15=1"),
	)
	d := Diff(old, new)
	assert.False(t, d.Worse(), "a check that is new and passes is no worse")
	assert.Equal(t, []string{"5.10"}, d.Removed)
	assert.Equal(t, []string{"7.3"}, d.Added)
	require.Len(t, d.Kernels, 2)
	assert.Equal(t, []Change{{"K17 question K17", "accept does not return", "accept returns"}}, d.Kernels[0].Probes)
	require.Len(t, d.Kernels[0].Binds, 1)
	var text strings.Builder
	require.NoError(t, d.WriteText(&text, scorecard.Style{}))
	for _, says := range []string{
		"6.12 (6.12.43 → 6.12.118): 1 probes and 1 rows of the bind table have other answers\n",
		"  K17 question K17\n    accept does not return → accept returns\n",
		"    bbbb bbbb bbbb bbbb → bbbb bbbb bbbb bbb.\n",
		"\n6.18: all answers are the same\n", "0 worse, 0 better, 0 not known, 1 new",
		"\nonly in the old table: 5.10\n", "\nonly in the new table: 7.3\n",
	} {
		assert.Contains(t, text.String(), says)
	}

	worse := tableOf(checked("6.18", result("reap", "IPv4", "fail")))
	assert.True(t, Diff(old, worse).Worse())
	assert.False(t, Diff(worse, old).Worse())
	lost := tableOf(Column{Kernel: "6.18", Lost: "it died"})
	assert.True(t, Diff(old, lost).Worse(), "a card that is not there any more")
	assert.True(t, Diff(old, tableOf(checked("6.18"))).Worse(), "a card without checks")
	assert.False(t, Diff(lost, old).Worse())
}

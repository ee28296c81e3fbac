// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a release, without a "v", which the linker writes here:
// -ldflags "-X forkrig/internal/cli.release=1.2.3". It is "" in every other build.
var release string

// version is that of the release or of the module, with the commit that it was built from where Go
// noted it.
func version() string {
	text := "forkrig"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	if v := info.Main.Version; release != "" {
		text += " " + release
	} else if v != "" && v != "(devel)" {
		text += " " + v
	}
	settings := buildSettings(info)
	if revision := settings["vcs.revision"]; revision != "" {
		text += " commit " + revision[:min(len(revision), 12)]
		if settings["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	return fmt.Sprintf("%s (%s, %s/%s)", text, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}

func buildSettings(info *debug.BuildInfo) map[string]string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	return settings
}

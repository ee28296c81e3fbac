// SPDX-License-Identifier: Apache-2.0

package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"strings"
)

//go:embed assets
var assets embed.FS

// scripts are the files of the page's script, in the order in which they are joined.
var scripts = []string{
	"element.js", "model.js", "time.js", "layout.js", "marks.js", "draw.js", "overview.js",
	"controls.js", "panel.js", "table.js", "input.js", "picture.js", "main.js",
}

// asset returns a file of the page. It is part of the program, so that an error is a defect.
func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// script returns the page's script: strict, and without a global name but window.forkrig.
func script() string {
	var b strings.Builder
	b.WriteString("(() => {\n\"use strict\";\n")
	for _, name := range scripts {
		b.WriteString(asset(name))
	}
	b.WriteString("})();\n")
	return b.String()
}

// policy is the Content-Security-Policy that permits this script and this style sheet, and nothing
// from anywhere else. A picture of no bytes keeps browsers from asking for an icon.
func policy(script, style string) string {
	return "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(style) +
		"; img-src data:; base-uri 'none'; form-action 'none'"
}

// hash names an inline text as a Content-Security-Policy does.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page is the template of the page.
var page = template.Must(template.New("page.html").Parse(asset("page.html")))

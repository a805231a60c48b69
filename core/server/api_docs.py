"""A page that shows the API's description: self-contained, since the usual viewers load themselves from elsewhere."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Embedding Playground: API</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#1f5f99, #8abdea); }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h2 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
  article { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
  .method { color: var(--accent); font-weight: 700; margin-right: .5rem; }
  table { border-collapse: collapse; width: 100%; margin: .75rem 0; display: block; overflow-x: auto; }
  th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
  pre { background: var(--soft); padding: .75rem; border-radius: .375rem; overflow-x: auto; }
  code { font-family: ui-monospace, monospace; font-size: .875em; }
</style>
</head>
<body>
<h1>API</h1>
<p id="about"></p>
<p>For programs: <a href="openapi.json">openapi.json</a>. Errors are problem details (RFC 9457).</p>
<main id="operations"></main>
<script>
"use strict";
const element = (name, text = "", parent = null, className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  if (parent) parent.append(made);
  return made;
};
const kind = (schema) =>
  schema.anyOf ? schema.anyOf.filter((one) => one.type !== "null").map(kind).join(" or ")
  : schema.format === "binary" ? "file" : schema.type === "array" ? "list" : schema.type || "";
const row = (table, ...cells) => {
  const line = element("tr", "", table);
  cells.forEach((cell, i) => element("td", "", line).append(i ? cell : element("code", cell)));
};
const fields = (parent, caption, properties, required) => {
  const table = element("table", "", parent);
  element("caption", caption, table).style.textAlign = "left";
  for (const [name, schema] of Object.entries(properties)) {
    const usual = schema.default === undefined || schema.default === null ? "" : `usually ${schema.default}`;
    row(table, name, kind(schema), required.includes(name) ? "required" : usual, schema.description || "");
  }
};
const example = (method, address) =>
  method === "post"
    ? `curl -F image=@picture.jpg -F dataset=objects200 -F k=5 ${address}`
    : `curl ${address}`;
fetch("openapi.json").then((answer) => answer.json()).then((api) => {
  document.getElementById("about").textContent = api.info.description;
  const base = location.href.replace(/\\/docs.*$/, "");
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, one] of Object.entries(methods)) {
      const article = element("article", "", document.getElementById("operations"));
      const heading = element("h2", "", article);
      element("span", method.toUpperCase(), heading, "method");
      element("code", base.replace(location.origin, "") + path, heading);
      element("p", one.summary, article);
      const asked = Object.fromEntries((one.parameters || []).map((p) => [p.name, { ...p.schema, description: p.description }]));
      if (one.parameters) fields(article, "In the address", asked, one.parameters.filter((p) => p.required).map((p) => p.name));
      for (const [type, { schema }] of Object.entries(one.requestBody?.content || {}))
        fields(article, type, schema.properties, schema.required || []);
      element("code", example(method, base + path), element("pre", "", article));
    }
  }
});
</script>
</body>
</html>
"""

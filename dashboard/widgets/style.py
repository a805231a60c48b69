"""The few rules that Streamlit's theme has no setting for; :mod:`dashboard.page_head` adds them to every page."""

# Streamlit adds its own rules later, so these have one class more.
RULES = """
.stApp .block-container { padding-top: 4.25rem; padding-bottom: 3rem; max-width: 1500px; }
.stApp .block-container h1 { font-size: 1.9rem; padding: 0; }
.stApp .block-container h2 { font-size: 1.25rem; padding: .25rem 0 .4rem; }
.stApp .block-container h3 { font-size: 1.05rem; padding: .25rem 0 .3rem; }
/* Streamlit's own grey for captions falls short of 4.5 : 1. */
.stApp [data-testid="stCaptionContainer"] { color: inherit; opacity: .82; }
.stApp [class*="st-key-layers"] { min-height: 78px; }
.stApp .st-key-results { min-height: 14rem; }
.stApp [data-testid="stColumn"] [class*="st-key-results"] { min-height: 7rem; }
/* Search: the query beside its neighbors, in a narrow window a small one above them. */
.stApp .st-key-search { display: grid; grid-template: "query results" auto "more results" 1fr / 230px minmax(0, 1fr); gap: .75rem 1.5rem; }
.stApp [data-testid="stLayoutWrapper"]:has(> .st-key-search-query) { grid-area: query; }
.stApp [data-testid="stLayoutWrapper"]:has(> .st-key-search-results) { grid-area: results; }
.stApp [data-testid="stLayoutWrapper"]:has(> .st-key-search-more) { grid-area: more; }
@media (max-width: 900px) {
  .stApp .st-key-search { grid-template: "query" auto "results" auto "more" auto / minmax(0, 1fr); }
  .stApp .st-key-search-query { display: grid; grid-template-columns: 120px minmax(0, 1fr); align-items: start; gap: .75rem; }
  .stApp .st-key-search-query .st-key-query { min-height: 10.5rem; }
}
@media (max-width: 520px) {
  /* Matrices with many columns move sideways, so that their names do not lie over each other. */
  .stApp :is(.st-key-confusion, [class*="st-key-classes-"]:not([class*="-table"])) { overflow-x: auto; }
  .stApp :is(.st-key-confusion, [class*="st-key-classes-"]:not([class*="-table"])) > div { min-width: 640px; }
  .stApp .st-key-doors { display: grid; grid-template-columns: 1fr 1fr; grid-auto-rows: 40px; gap: .5rem; }
  .stApp .st-key-doors > :first-child { grid-column: span 2; }
  .stApp .st-key-doors button { padding-inline: .5rem; }
  .stApp .st-key-embeddings-top { display: grid; grid-template-columns: auto auto; grid-auto-rows: minmax(40px, auto); gap: .5rem; }
  .stApp .st-key-embeddings-top > * { min-width: 0; max-width: 100%; }
  .stApp .st-key-embeddings-top h1 { font-size: 1.5rem; }
  .stApp .st-key-search-top { gap: .5rem; flex-wrap: nowrap; }
  .stApp .st-key-search-top > * { min-width: 0; }
  .stApp .st-key-results { min-height: 30rem; }
  .stApp :is(.st-key-bar, .st-key-bar2) p { font-size: .875rem; }
  .stApp .st-key-search { row-gap: .25rem; }
  .stApp .st-key-search-top h1 { font-size: 1.5rem; }
  .stApp .st-key-search-top h1 { margin-right: -24px; }
  .stApp .st-key-search-top > :has([data-testid="stSelectbox"]), .stApp .st-key-search-top [data-testid="stSelectbox"] { width: 112px !important; flex: none !important; }
  .stApp .st-key-side-by-side [data-testid="stIconMaterial"] { display: none; }
}
.stApp :is(.st-key-search-top, .st-key-embeddings-top) [class*="st-key-pick-"]:has([data-testid="stSkeleton"]) { min-height: 40px; }
.stApp .results-table { border-collapse: collapse; font-size: .875rem; }
.stApp .results-table :is(td, th) { padding: .15rem .75rem .15rem 0; text-align: left; vertical-align: top; }
.stApp [data-testid="stLogo"] { height: 1.75rem; border-radius: 6px; }
/* Behind an arrow alone, nobody looks for the pages. */
.stApp [data-testid="stExpandSidebarButton"]::after { content: "Menu"; font-size: .875rem; margin-left: .25rem; color: inherit; }
.stApp [data-testid="stExpandSidebarButton"] { width: auto; }
/* The sections of Compare fit one line of a wide window. */
.stApp .st-key-section [data-testid="stButtonGroup"] button { padding-inline: .6rem; }
.stApp [data-testid="stMetricValue"] { font-size: 1.9rem; }
/* It completes the address and shows nothing. */
.stApp .st-key-address { display: none; }
/* White on the primary color of the dark theme has a contrast of 3.6 : 1 only; on this blue it has 6.6 : 1. */
.stApp [data-testid^="stBaseButton-primary"]:not(:disabled) { background: #1f5f99; color: #fff; }
/* Streamlit's blue of options in commands falls short of 4.5 : 1, too. */
.stApp .stCode .token.parameter { color: inherit; }
/* Room for what comes a moment after the page, so that nothing moves when it is there: labeled widgets, figures, switches, components. */
.stApp :is([class*="st-key-pick-"], [class*="st-key-decide-"], .st-key-inspect-find):has([data-testid="stSkeleton"]) { min-height: 68px; }
.stApp .stElementContainer:not([class*="st-key-"]):has([data-testid="stSkeleton"]) { min-height: 63px; min-width: 9rem; }
.stApp :is([class*="-untrained"], .st-key-halves, .st-key-inspect-eight, .st-key-section, .st-key-inspect-part, .st-key-browse-order,
  .st-key-embeddings-panel):has([data-testid="stSkeleton"]) { height: 32px; min-height: 32px; overflow: hidden; min-width: 232px; }
@media (max-width: 520px) {
  /* Also while it loads, when the rule above sets its height. */
  .stApp .st-key-section:is(*, :has([data-testid="stSkeleton"])) { min-height: 140px; }
  .stApp .st-key-decision-figures { display: grid; grid-template-columns: 1fr 1fr; }
  .stApp .st-key-decision-figures [data-testid="stMetricValue"] { font-size: 1.45rem; }
  .stApp .st-key-decision-figures [data-testid="stMetricLabel"] p { font-size: .75rem; }
}
.stApp :is(.st-key-query, .st-key-embeddings-neighbors) { min-height: 18rem; }
.stApp .st-key-embeddings-picked { min-height: 190px; }
.stApp [class*="st-key-decision-gallery-"] { min-height: 250px; }
.stApp .st-key-channel-gallery { min-height: 136px; }
.stApp .st-key-channel-large { min-height: 338px; }
.stApp .st-key-channel-found { min-height: 450px; }
.stApp :is(.st-key-hardest, .st-key-dividing, .st-key-hubs) { min-height: 186px; }
.stApp .st-key-hubness { min-height: 285px; }
@media (max-width: 520px) {
  .stApp .st-key-channel-gallery { min-height: 296px; }
  .stApp :is(.st-key-hardest, .st-key-dividing, .st-key-hubs) { min-height: 480px; }
}
.stApp .st-key-strip { min-height: 86px; }
.stApp .st-key-glimpse-pictures { min-height: 53px; }
.stApp .st-key-scatter { min-height: calc(clamp(320px, min(62vh, 90vw), 760px) + 18rem); }
"""

# Tables and figures of one artefact are one job. What is under version control is local; rows lie in the bucket while the
# engine keeps the results there, and beside the file it fetched on this machine.
def shown_by(name):
    """What an artefact is rendered from beyond its files: its runs and their labels, its protocol."""
    runs = [(cell.spec.run_id, vars(cell.spec.labels)) for cell in CELLS[name]]
    return digest_of([runs, PROTOCOLS[artefact(name)["protocol"]], LENGTH["fakes"]])


def published_beside():
    """Which published numbers the artefacts set beside measured ones, as the page does, too."""
    keys = ("protocol", "grid", "conditional")
    contents = [artefact(name) for name in artefact_names()]
    return digest_of(
        [[*(each.get(key) for key in keys), each.get("layout", {}).get("published")] for each in contents]
    )


def with_rows():
    """The artefacts of which every run has its rows, and those of the configuration of which some run has."""
    names = []
    for name in CELLS:
        there = [Path(file).exists() for file in rows_files(name)]
        if all(there) or name in config["artefacts"] and any(there):
            names.append(name)
    return names or config["artefacts"]


RENDER = f"python -m report.render --config {CONFIG}"
RESULTS = 'results=$(dirname "$(dirname {log})")'
PAGE = "python -m report.page --published {input.published} --submitted results/submitted"


rule render:
    input:
        rows=lambda wildcards: rows_files(wildcards.artefact),
        specs=lambda wildcards: spec_files(wildcards.artefact),
        curves=lambda wildcards: curve_files(wildcards.artefact),
        artefact=local("config/artefacts/{artefact}.yaml"),
        published=local("results/published/published.csv"),
    output:
        f"results/{SCALE}/tables/{{artefact}}.md",
        f"results/{SCALE}/tables/{{artefact}}.csv",
        f"results/{SCALE}/tables/{{artefact}}.tex",
        figures=directory(f"results/{SCALE}/figures/{{artefact}}"),
    log:
        f"results/{SCALE}/logs/render-{{artefact}}.log",
    localrule: True
    params:
        shown=lambda wildcards: shown_by(wildcards.artefact),
    shell:
        f"{RENDER} --artefacts {{wildcards.artefact}} --results $(dirname $(dirname {{output.figures}}))"
        " 2>&1 | tee {log}"


rule collect:
    input:
        rows=lambda wildcards: of_all(rows_files),
        specs=lambda wildcards: of_all(spec_files),
        submitted=list(map(local, sorted(Path("results/submitted").glob("*.json")))),
    output:
        f"results/{SCALE}/results.csv",
    log:
        f"results/{SCALE}/logs/collect.log",
    localrule: True
    shell:
        "python -m report.collect --rows $(dirname {output})/rows --submitted results/submitted --out {output}"
        " 2>&1 | tee {log}"


rule page:
    input:
        results=f"results/{SCALE}/results.csv",
        specs=lambda wildcards: of_all(spec_files),
        curves=lambda wildcards: of_all(curve_files),
        published=local("results/published/published.csv"),
    output:
        f"results/{SCALE}/page/index.html",
        f"results/{SCALE}/page/leaderboard.csv",
        f"results/{SCALE}/page/leaderboard.json",
    log:
        f"results/{SCALE}/logs/page.log",
    localrule: True
    params:
        beside=published_beside(),
    shell:
        f"{PAGE} --results {{input.results}} --rows $(dirname {{input.results}})/rows --out {{output[0]}}"
        " 2>&1 | tee {log}"


# The targets below take the rows as they lie there, ask for no run and so never train one.


rule leaderboard:
    input:
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/leaderboard.log",
    localrule: True
    shell:
        f"{RESULTS}; {PAGE} --rows $results/rows --out $results/page/index.html 2>&1 | tee {{log}}"


rule figures:
    input:
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/figures.log",
    localrule: True
    params:
        artefacts=lambda wildcards: with_rows(),
    shell:
        f"{RESULTS}; ({RENDER} --artefacts {{params.artefacts}} --results $results"
        f" && {PAGE} --rows $results/rows --out $results/page/index.html) 2>&1 | tee {{log}}"

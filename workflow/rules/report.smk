# Nothing here imports torch. Tables and figures of one artefact are one job, and that job's name is the artefact's.
# Each job gathers anew whatever rows lie there, among them those it asked for.
COLLECT = (
    f"python -m report.collect --rows results/{SCALE}/rows --submitted results/submitted"
    f" --out results/{SCALE}/results.csv"
)
PAGE = (
    f"python -m report.page --results results/{SCALE}/results.csv --published {{input.published}}"
    f" --rows results/{SCALE}/rows --out results/{SCALE}/page/index.html"
)


for name in CELLS:

    rule:
        name:
            name
        input:
            rows=rows_files(name),
            curves=curve_files(name),
            artefact=f"config/artefacts/{name}.yaml",
        output:
            rendered(name),
        log:
            f"results/{SCALE}/logs/render-{name}.log",
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            artefact=name,
            config=CONFIG,
        shell:
            f"({COLLECT} && python -m report.render --artefacts {{params.artefact}} --config {{params.config:q}}"
            f" --results results/{SCALE}) 2>&1 | tee {{log}}"


rule page:
    input:
        rows=[file for name in config["artefacts"] for file in rows_files(name)],
        curves=[file for name in config["artefacts"] for file in curve_files(name)],
        published="results/published/published.csv",
        submitted=sorted(Path("results/submitted").glob("*.json")),
    output:
        f"results/{SCALE}/page/index.html",
    log:
        f"results/{SCALE}/logs/page.log",
    localrule: True
    shell:
        f"({COLLECT} && {PAGE}) 2>&1 | tee {{log}}"


# The two targets below take the rows as they lie there, ask for no run and so never train one.


rule leaderboard:
    input:
        published="results/published/published.csv",
    log:
        f"results/{SCALE}/logs/leaderboard.log",
    localrule: True
    shell:
        f"({COLLECT} && {PAGE}) 2>&1 | tee {{log}}"


rule figures:
    input:
        published="results/published/published.csv",
    log:
        f"results/{SCALE}/logs/figures.log",
    localrule: True
    params:
        artefacts=config["artefacts"],
        config=CONFIG,
    shell:
        f"({COLLECT} && python -m report.render --artefacts {{params.artefacts}} --config {{params.config:q}}"
        f" --results results/{SCALE} && {PAGE}) 2>&1 | tee {{log}}"

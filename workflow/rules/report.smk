# Nothing here imports torch. Tables and figures of one artefact are one job, and that job's name is the artefact's.
# Each job gathers anew whatever rows lie there, among them those it asked for. $results is results/<scale>, or the
# folder where the engine keeps its copy of that while it lies in a bucket; what is under version control is local.
COLLECT = (
    'results=$(dirname "$(dirname {log})") && python -m report.collect --rows $results/rows'
    " --submitted results/submitted --out $results/results.csv"
)
PAGE = (
    "python -m report.page --results $results/results.csv --published {input.published}"
    " --rows $results/rows --out $results/page/index.html"
)


for name in CELLS:

    rule:
        name:
            name
        input:
            rows=rows_to_wait_for(name),
            curves=curve_files(name),
            artefact=local(f"config/artefacts/{name}.yaml"),
        output:
            rendered(name),
        log:
            f"results/{SCALE}/logs/render-{name}.log",
        localrule: True
        params:
            artefact=name,
            config=lambda wildcards: CONFIG,
        shell:
            f"({COLLECT} && python -m report.render --artefacts {{params.artefact}}"
            " --config {params.config:q} --results $results) 2>&1 | tee {log}"


rule page:
    input:
        rows=[file for name in config["artefacts"] for file in rows_files(name)],
        curves=[file for name in config["artefacts"] for file in curve_files(name)],
        published=local("results/published/published.csv"),
        submitted=list(map(local, sorted(Path("results/submitted").glob("*.json")))),
    output:
        f"results/{SCALE}/page/index.html",
        f"results/{SCALE}/page/leaderboard.csv",
        f"results/{SCALE}/page/leaderboard.json",
    log:
        f"results/{SCALE}/logs/page.log",
    localrule: True
    shell:
        f"({COLLECT} && {PAGE}) 2>&1 | tee {{log}}"


# The two targets below take the rows as they lie there, ask for no run and so never train one.


rule leaderboard:
    input:
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/leaderboard.log",
    localrule: True
    shell:
        f"({COLLECT} && {PAGE}) 2>&1 | tee {{log}}"


rule figures:
    input:
        published=local("results/published/published.csv"),
    log:
        f"results/{SCALE}/logs/figures.log",
    localrule: True
    params:
        artefacts=lambda wildcards: with_rows(),
        config=lambda wildcards: CONFIG,
    shell:
        f"({COLLECT} && python -m report.render --artefacts {{params.artefacts}}"
        f" --config {{params.config:q}} --results $results && {PAGE}) 2>&1 | tee {{log}}"

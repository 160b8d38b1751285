# Nothing here imports torch. Tables and figures of one artefact are one job, and that job's name is the artefact's.


rule collect:
    input:
        rows=lambda wildcards: [file for name in CELLS for file in rows_files(name)],
        submitted=sorted(Path("results/submitted").glob("*.json")),
    output:
        f"results/{SCALE}/results.csv",
    log:
        f"results/{SCALE}/logs/collect.log",
    localrule: True
    shell:
        "python -m report.collect --rows $(dirname {output})/rows --submitted results/submitted --out {output}"
        " 2>&1 | tee {log}"


for name in CELLS:

    rule:
        name:
            name
        input:
            results=f"results/{SCALE}/results.csv",
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
            "python -m report.render --artefacts {params.artefact} --config {params.config:q}"
            " --results $(dirname {input.results}) 2>&1 | tee {log}"


rule page:
    input:
        results=f"results/{SCALE}/results.csv",
        curves=[file for name in CELLS for file in curve_files(name)],
        published="results/published/published.csv",
    output:
        f"results/{SCALE}/page/index.html",
    log:
        f"results/{SCALE}/logs/page.log",
    localrule: True
    shell:
        "python -m report.page --results {input.results} --published {input.published}"
        " --rows $(dirname {input.results})/rows --out {output} 2>&1 | tee {log}"


# The two targets below take the rows as they lie there, ask for no run and so never train one.


rule leaderboard:
    input:
        published="results/published/published.csv",
    log:
        f"results/{SCALE}/logs/leaderboard.log",
    localrule: True
    params:
        results=f"results/{SCALE}",
    shell:
        "(python -m report.collect --rows {params.results}/rows --submitted results/submitted"
        " --out {params.results}/results.csv"
        " && python -m report.page --results {params.results}/results.csv --published {input.published}"
        " --rows {params.results}/rows --out {params.results}/page/index.html) 2>&1 | tee {log}"


rule figures:
    input:
        published="results/published/published.csv",
    log:
        f"results/{SCALE}/logs/figures.log",
    localrule: True
    params:
        artefacts=list(CELLS),
        config=CONFIG,
        results=f"results/{SCALE}",
    shell:
        "(python -m report.collect --rows {params.results}/rows --submitted results/submitted"
        " --out {params.results}/results.csv"
        " && python -m report.render --artefacts {params.artefacts} --config {params.config:q}"
        " --results {params.results}"
        " && python -m report.page --results {params.results}/results.csv --published {input.published}"
        " --rows {params.results}/rows --out {params.results}/page/index.html) 2>&1 | tee {log}"

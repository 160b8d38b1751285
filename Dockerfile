# The environment of a job, for clusters that run containers: docker build -t leangan .
# The code is in /leangan; data and results lie where profiles/kubernetes says. Training needs NVIDIA's container runtime on
# the node, and nothing of CUDA in here: PyTorch's wheels bring their own.
FROM python:3.12-slim

# The user's id is a number, so that clusters that forbid root accept it.
RUN useradd --create-home --uid 1000 leangan && install --directory --owner leangan /leangan

COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock

COPY --chown=leangan . /leangan
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable /leangan
ENV PYTHONUNBUFFERED=1
USER 1000
WORKDIR /leangan

"""Checks an MPIJob, and writes its pods as a manifest that a validator of Kubernetes knows.

Usage: python3 tests/cluster/mpijob.py MANIFEST OUT

Kubernetes has no schema of the MPI operator's resource. Fields are those of its API `kubeflow.org/v2beta1`, version
0.6 (`pkg/apis/kubeflow/v2beta1/types.go` in its repository); unknown ones are errors. Needs PyYAML.
"""

import sys

import yaml

COUNT = int
RUN_POLICY = {
    "activeDeadlineSeconds": COUNT,
    "backoffLimit": COUNT,
    "cleanPodPolicy": ["All", "Running", "None"],
    "schedulingPolicy": dict,
    "suspend": bool,
    "ttlSecondsAfterFinished": COUNT,
}
REPLICA = {"replicas": COUNT, "restartPolicy": ["Always", "OnFailure", "Never", "ExitCode"], "template": dict}
SPEC = {
    "mpiImplementation": ["OpenMPI", "Intel", "MPICH"],
    "mpiReplicaSpecs": {"Launcher": REPLICA, "Worker": REPLICA},
    "runPolicy": RUN_POLICY,
    "slotsPerWorker": COUNT,
    "sshAuthMountPath": str,
}


def check(value, schema, place):
    """Exits if a value is not of its schema: a type, a list of words, or fields with schemas."""
    if isinstance(schema, dict):
        for name in value:
            if name not in schema:
                sys.exit(f"{place}: unknown field `{name}`, expected one of {', '.join(schema)}")
            check(value[name], schema[name], f"{place}.{name}")
    elif isinstance(schema, list):
        if value not in schema:
            sys.exit(f"{place}: `{value}`, expected one of {', '.join(schema)}")
    elif type(value) is not schema:
        sys.exit(f"{place}: `{value}`, expected {schema.__name__}")


def main():
    manifest, out = sys.argv[1:]
    with open(manifest) as file:
        job = yaml.safe_load(file)
    check(job, {"apiVersion": ["kubeflow.org/v2beta1"], "kind": ["MPIJob"], "metadata": dict, "spec": SPEC}, "MPIJob")
    replicas = job["spec"]["mpiReplicaSpecs"]
    if set(replicas) != {"Launcher", "Worker"} or replicas["Launcher"].get("replicas", 1) != 1:
        sys.exit("MPIJob: expected one Launcher, and Workers")
    ranks = replicas["Worker"]["replicas"] * job["spec"]["slotsPerWorker"]
    command = " ".join(replicas["Launcher"]["template"]["spec"]["containers"][0]["args"])
    if f"mpirun -n {ranks} " not in command:
        sys.exit(f"MPIJob: {ranks} slots of the workers, and another number of ranks in `{command}`")
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name.lower()}, "spec": replica["template"]["spec"]}
        for name, replica in replicas.items()
    ]
    with open(out, "w") as file:
        yaml.safe_dump_all(pods, file)


if __name__ == "__main__":
    main()

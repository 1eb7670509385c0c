"""Defines the commands of vxbench, one module each with a `main(argv) -> exit status`."""

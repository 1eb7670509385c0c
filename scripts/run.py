"""One cell, a sweep (-m) or a table (+table=fep_1). See README.md."""

from vxbench.commands.run import main

if __name__ == "__main__":
    main()

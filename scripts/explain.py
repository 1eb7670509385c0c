"""Explains a video of your own: python scripts/explain.py video=my.mp4 model=tsm explainer=fep"""

from vxbench.commands.explain import main

if __name__ == "__main__":
    raise SystemExit(main())

"""Strange video files for bench_hostile_video.py, made with the ffmpeg program. Frames carry their number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.engine.media.video_clips import HEIGHT, WIDTH, picture

FRAMES = 90
X264 = "-c:v libx264 -preset veryfast -threads 1 -x264-params"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none"
VP9 = "-c:v libvpx-vp9 -g 30 -deadline realtime -cpu-used 8"

# Name of the file: what ffmpeg is to write into it, from 90 pictures at 30 a second.
RECIPES: dict[str, str] = {
    # one IDR, then recovery points and open groups only
    "noidr.mp4": f"{X264} open-gop=1:keyint=15:min-keyint=1:bframes=5:b-pyramid=normal:scenecut=0",
    "noidr.mkv": f"{X264} open-gop=1:keyint=15:min-keyint=1:bframes=5:b-pyramid=normal:scenecut=0",
    "b16.mp4": f"{X264} bframes=16:b-adapt=0:b-pyramid=normal:keyint=60:ref=16",
    "b16.ts": f"{X264} bframes=16:b-adapt=0:b-pyramid=normal:keyint=60:ref=16",
    "b16.avi": f"{X264} bframes=16:b-adapt=0:b-pyramid=normal:keyint=60:ref=16",
    "b16.flv": f"{X264} bframes=16:b-adapt=0:b-pyramid=normal:keyint=60:ref=16",
    "b3.avi": f"{X264} bframes=3:b-pyramid=normal:keyint=24",
    "b3.mpg": f"{X264} bframes=3:b-pyramid=normal:keyint=24",
    "refresh.ts": f"{X264} intra-refresh=1:keyint=30:bframes=0",
    "refresh.mkv": f"{X264} intra-refresh=1:keyint=30:bframes=0",
    "refreshb.ts": f"{X264} intra-refresh=1:keyint=30:bframes=3",
    "refresh.h264": f"{X264} intra-refresh=1:keyint=30:bframes=0 -f h264",
    "mbaff.mp4": f"{X264} interlaced=1:keyint=24:bframes=3 -flags +ildct+ilme",
    "mbaff.mkv": f"{X264} tff=1:open-gop=1:keyint=24:bframes=3",
    "infinite.mp4": f"{X264} keyint=infinite:bframes=3",
    "slices.ts": f"{X264} slices=8:keyint=24:bframes=3",
    "fakeinter.mp4": f"{X264} fake-interlaced=1:keyint=24",
    "pulldown.mkv": f"{X264} keyint=24:pic-struct=1:bframes=3 -field_order tt",
    "lossless444.mp4": "-c:v libx264 -pix_fmt yuv444p -qp 0 -preset ultrafast",
    "rgb.mkv": "-c:v libx264rgb -qp 0 -preset ultrafast -g 12",
    "gray.mp4": "-c:v libx264 -pix_fmt gray -g 12",
    "yuv422p10.mkv": "-c:v libx264 -pix_fmt yuv422p10le -g 12 -bf 3",
    "yuv444p12.mkv": "-c:v libx265 -pix_fmt yuv444p10le -preset ultrafast -x265-params log-level=none",
    "hevc_cra.mkv": f"{X265}:open-gop=1:keyint=15:min-keyint=1:bframes=4:scenecut=0",
    "hevc_cra.mp4": f"{X265}:open-gop=1:keyint=15:min-keyint=1:bframes=4:scenecut=0 -tag:v hvc1",
    "hevc_b16.mp4": f"{X265}:bframes=16:b-adapt=0:keyint=60:b-pyramid=1",
    "hevc_refresh.ts": f"{X265}:intra-refresh=1:keyint=30:bframes=0",
    "hevc_field.ts": f"{X265}:interlace=tff:keyint=24",
    "asp.avi": "-c:v mpeg4 -bf 2 -g 12 -q:v 3 -vtag XVID",
    "xvid.avi": "-c:v libxvid -bf 2 -g 12 -q:v 3",
    "packed.avi": "-c:v libxvid -bf 3 -g 24 -q:v 3 -flags +bitexact",
    "asp_qpel.avi": "-c:v mpeg4 -flags +qpel+mv4+aic -bf 2 -g 12 -q:v 3",
    "asp_inter.avi": "-c:v mpeg4 -flags +ildct+ilme -bf 2 -g 12 -q:v 3",
    "asp.mkv": "-c:v mpeg4 -bf 2 -g 12 -q:v 3",
    "raw.m4v": "-c:v mpeg4 -bf 2 -g 12 -q:v 3 -f m4v",
    "mpeg1.mpg": "-c:v mpeg1video -bf 2 -g 15 -q:v 3",
    "mpeg2.ts": "-c:v mpeg2video -bf 2 -g 15 -q:v 3",
    "mpeg2i.ts": "-c:v mpeg2video -flags +ildct+ilme -bf 2 -g 15 -q:v 3",
    "mpeg2.m2v": "-c:v mpeg2video -bf 2 -g 15 -q:v 3 -f mpeg2video",
    "mpeg2.mkv": "-c:v mpeg2video -bf 2 -g 15 -q:v 3",
    "mpeg2.mxf": "-c:v mpeg2video -bf 2 -g 15 -q:v 3 -r 25",
    "dv.avi": "-c:v dvvideo -s 720x576 -r 25 -pix_fmt yuv420p",
    "dv.dv": "-c:v dvvideo -s 720x576 -r 25 -pix_fmt yuv420p",
    "wrap.ts": f"{X264} keyint=24:bframes=3 -output_ts_offset 95442.2 -muxdelay 0",
    "late.ts": f"{X264} keyint=24:bframes=3 -output_ts_offset 50000",
    "neg.mkv": f"{X264} keyint=24:bframes=3 -output_ts_offset -1",
    "m2ts.m2ts": f"{X264} keyint=24:bframes=3 -f mpegts -mpegts_m2ts_mode 1",
    "frag.mp4": f"{X264} keyint=24:bframes=3 -movflags frag_keyframe+empty_moov+default_base_moof",
    "sidx.mp4": f"{X264} keyint=24:bframes=3 -movflags dash+frag_keyframe",
    "frag1.mp4": f"{X264} keyint=24:bframes=3 -movflags frag_every_frame+empty_moov",
    "negcts.mp4": f"{X264} keyint=24:bframes=3 -movflags negative_cts_offsets",
    "nocues.mkv": f"{X264} keyint=24:bframes=3 -live 1",
    "live.webm": f"{VP9} -live 1 -cluster_time_limit 200",
    "arf.webm": "-c:v libvpx-vp9 -g 60 -lag-in-frames 16 -auto-alt-ref 6 -deadline good -cpu-used 8 -b:v 300k",
    "vp9.mp4": "-c:v libvpx-vp9 -g 60 -lag-in-frames 16 -auto-alt-ref 1 -deadline good -cpu-used 8 -b:v 300k",
    "vp9.ivf": "-c:v libvpx-vp9 -g 60 -lag-in-frames 16 -auto-alt-ref 1 -deadline good -cpu-used 8 -b:v 300k",
    "vp8arf.webm": "-c:v libvpx -g 60 -lag-in-frames 16 -auto-alt-ref 1 -deadline good -cpu-used 4 -b:v 600k",
    "vp8arf.ivf": "-c:v libvpx -g 60 -lag-in-frames 16 -auto-alt-ref 1 -deadline good -cpu-used 4 -b:v 600k",
    "alpha.webm": "-c:v libvpx-vp9 -pix_fmt yuva420p -g 30 -auto-alt-ref 0 -deadline realtime -cpu-used 8",
    "alpha8.webm": "-c:v libvpx -pix_fmt yuva420p -g 30 -auto-alt-ref 0 -deadline realtime -cpu-used 8",
    "intraonly.webm": f"{VP9} -error-resilient 1",
    "av1.webm": "-c:v libsvtav1 -g 30 -preset 12 -crf 10",
    "aom.mkv": "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 30 -crf 10 -lag-in-frames 0",
    "aomlag.mp4": "-c:v libaom-av1 -cpu-used 8 -g 30 -crf 10 -lag-in-frames 19 -frames:v 40",
    "av1.obu": "-c:v libsvtav1 -g 30 -preset 12 -crf 10",
    "av1.ivf": "-c:v libsvtav1 -g 30 -preset 12 -crf 10",
    "film.gif": "-c:v gif",
    "film.apng": "-c:v apng -f apng",
    "film.webp": "-c:v libwebp_anim -lossless 1 -f webp",
    "odml.avi": "-c:v rawvideo -pix_fmt bgr24",
    "raw8.avi": "-c:v rawvideo -pix_fmt gray",
    "raw.mkv": "-c:v rawvideo -pix_fmt yuv420p",
    "raw.mov": "-c:v rawvideo -pix_fmt uyvy422",
    "raw.y4m": "-pix_fmt yuv420p -f yuv4mpegpipe",
    "v210.mov": "-c:v v210",
    "ffv1.mkv": "-c:v ffv1 -level 3 -g 12",
    "ffv1_16.mkv": "-c:v ffv1 -pix_fmt gray16le",
    "ffv1_rgb.mkv": "-c:v ffv1 -pix_fmt bgr0",
    "huff.avi": "-c:v huffyuv",
    "utv.avi": "-c:v utvideo -pix_fmt gbrp",
    "magic.avi": "-c:v magicyuv",
    "cinepak.avi": "-c:v cinepak -g 12 -frames:v 30",
    "cinepak.mov": "-c:v cinepak -g 12 -frames:v 30",
    "qtrle.mov": "-c:v qtrle -g 12",
    "qtrle_a.mov": "-c:v qtrle -pix_fmt argb -g 12",
    "png.mov": "-c:v png",
    "png.avi": "-c:v png",
    "jpeg2000.mov": "-c:v jpeg2000",
    "dnxhr.mov": "-c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -s 320x192",
    "dnxhr.mxf": "-c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -s 320x192 -r 25",
    "prores4444.mov": "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le",
    "mjpeg.mov": "-c:v mjpeg -q:v 3 -pix_fmt yuvj422p",
    "mjpeg.mkv": "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p",
    "mjpeg.mjpeg": "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p -f mjpeg",
    "mjpeg.mp4": "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p",
    "theora.ogv": "-c:v libtheora -g 24 -q:v 8",
    "vp8.ogv": "-c:v libvpx -g 24 -b:v 1M -deadline realtime -cpu-used 8 -auto-alt-ref 0 -f ogg",
    "wmv2.wmv": "-c:v wmv2 -g 24 -q:v 3",
    "wmv1.asf": "-c:v wmv1 -g 24 -q:v 3",
    "msmpeg4.avi": "-c:v msmpeg4 -g 24 -q:v 3",
    "flv1.flv": "-c:v flv -g 24 -q:v 3",
    "h263.3gp": "-c:v h263 -g 24 -s 176x144 -q:v 3",
    "svq1.mov": "-c:v svq1 -g 24 -q:v 3",
    "snow.avi": "-c:v snow -g 24 -q:v 3 -strict -2",
    "rv20.rm": "-c:v rv20 -g 24 -q:v 3",
    "roq.roq": "-c:v roqvideo -s 160x96 -frames:v 20 -r 30 -f roq",
    "flashsv.flv": "-c:v flashsv -g 24",
    "zmbv.avi": "-c:v zmbv -g 24",
    "msvideo1.avi": "-c:v msvideo1 -g 24",
    "rpza.mov": "-c:v rpza -g 24",
    "smc.mov": "-c:v smc -g 24",
    "vc2.mkv": "-c:v vc2 -strict -1",
    "nut.nut": f"{X264} keyint=24:bframes=3",
    "dup.mkv": f"{X264} keyint=24:bframes=3 -vf setpts=floor(N/2)*2/30/TB -vsync passthrough",
    "dup.mp4": f"{X264} keyint=24:bframes=0 -vf setpts=floor(N/2)*2/30/TB -vsync passthrough",
    "gaps.mp4": f"{X264} keyint=24:bframes=3 -vf setpts=(N+floor(N/10)*300)/30/TB -vsync passthrough",
    "coarse.mkv": f"{X264} keyint=24:bframes=3 -vf setpts=N/2000/TB -vsync passthrough -enc_time_base 1:90000",
    "tiny.mkv": "-c:v ffv1 -s 1x1", "tiny2.mkv": "-c:v ffv1 -s 3x5 -pix_fmt bgr0",
    "long.mkv": "-c:v ffv1 -s 8192x16 -frames:v 20",
    "odd.mp4": f"{X264} keyint=24:bframes=3 -s 161x97 -pix_fmt yuv444p",
    "sar.mkv": f"{X264} keyint=24:bframes=3 -vf setsar=16/11",
    "sar_half.mp4": f"{X264} keyint=24:bframes=3 -vf setsar=1/2",
    "full709.mp4": f"{X264} keyint=24:bframes=3:fullrange=on:colormatrix=bt709",
    "bt2020.mp4": f"{X264} keyint=24:bframes=3:colormatrix=bt2020nc -pix_fmt yuv420p10le",
}  # fmt: skip


def master(folder: Path) -> Path:
    """All pictures, raw."""
    path = folder / "master.rgb"
    if not path.exists():
        path.write_bytes(b"".join(picture(index).tobytes() for index in range(FRAMES)))
    return path


def ffmpeg(arguments: list[str]) -> str:
    """Run it; returns what went wrong, or nothing."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], capture_output=True, timeout=120, check=False
    )
    return done.stderr.decode(errors="replace").strip()[-300:] if done.returncode else ""


def make(name: str, folder: Path) -> Path:
    """Write one of :data:`RECIPES`.

    Raises:
        RuntimeError: this ffmpeg cannot.
    """
    path = folder / name
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "30", "-i", str(master(folder))]
    recipe = RECIPES[name].split()
    if X264.split()[1] in recipe and "-pix_fmt" not in recipe:
        recipe += ["-pix_fmt", "yuv420p"]
    wrong = ffmpeg([*raw, *recipe, str(path)])
    if wrong:
        raise RuntimeError(wrong)
    return path

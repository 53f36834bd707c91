"""Operations by ICD-9-CM volume 3: its two-digit categories with their chapters, and a few finer codes by name.

Farr lists what indicators ask for. A longer code, of a national extension too (74.1x01, 81.5100x005), folds to its
longest known beginning, so 74.3 counts as 74 and 74.1x01 as 74.1: to mean all of 74, use the level ``category``.
"""

from __future__ import annotations

from functools import cache

from queries.agreed.catalogue import Code, CodeSet, Label, Level

VERSION = "2026-11"
"""Of this list; the categories are those of ICD-9-CM volume 3, which no longer changes."""

LISTING = """
# 0 / Procedures and interventions, not elsewhere classified / 操作和介入，不可归类在他处者
00 / Procedures and interventions, not elsewhere classified / 操作和介入，不可归类在他处者
00.66 / Percutaneous transluminal coronary angioplasty / 经皮冠状动脉腔内血管成形术
# 1 / Operations on the nervous system / 神经系统手术
01 / Incision and excision of skull, brain, and cerebral meninges / 颅骨、脑和脑膜的切开术和切除术
02 / Other operations on skull, brain, and cerebral meninges / 颅骨、脑和脑膜的其他手术
03 / Operations on spinal cord and spinal canal structures / 脊髓和椎管结构的手术
04 / Operations on cranial and peripheral nerves / 颅和周围神经的手术
05 / Operations on sympathetic nerves or ganglia / 交感神经或神经节的手术
# 2 / Operations on the endocrine system / 内分泌系统手术
06 / Operations on thyroid and parathyroid glands / 甲状腺和甲状旁腺的手术
07 / Operations on other endocrine glands / 其他内分泌腺的手术
# 3 / Operations on the eye / 眼的手术
08 / Operations on eyelids / 眼睑的手术
09 / Operations on lacrimal system / 泪器系统的手术
10 / Operations on conjunctiva / 结膜的手术
11 / Operations on cornea / 角膜的手术
12 / Operations on iris, ciliary body, sclera, and anterior chamber / 虹膜、睫状体、巩膜和前房的手术
13 / Operations on lens / 晶状体的手术
14 / Operations on retina, choroid, vitreous, and posterior chamber / 视网膜、脉络膜、玻璃体和后房的手术
15 / Operations on extraocular muscles / 眼外肌的手术
16 / Operations on orbit and eyeball / 眼眶和眼球的手术
# 3A / Other miscellaneous diagnostic and therapeutic procedures / 其他各类诊断性和治疗性操作
17 / Other miscellaneous procedures / 其他各类操作
# 4 / Operations on the ear / 耳的手术
18 / Operations on external ear / 外耳的手术
19 / Reconstructive operations on middle ear / 中耳重建术
20 / Other operations on middle and inner ear / 中耳和内耳的其他手术
# 5 / Operations on the nose, mouth, and pharynx / 鼻、口和咽的手术
21 / Operations on nose / 鼻的手术
22 / Operations on nasal sinuses / 鼻窦的手术
23 / Removal and restoration of teeth / 拔牙和牙修复术
24 / Other operations on teeth, gums, and alveoli / 牙、牙龈和牙槽的其他手术
25 / Operations on tongue / 舌的手术
26 / Operations on salivary glands and ducts / 涎腺和管的手术
27 / Other operations on mouth and face / 口和面的其他手术
28 / Operations on tonsils and adenoids / 扁桃腺和腺样增殖体的手术
29 / Operations on pharynx / 咽的手术
# 6 / Operations on the respiratory system / 呼吸系统手术
30 / Excision of larynx / 喉切除术
31 / Other operations on larynx and trachea / 喉和气管的其他手术
32 / Excision of lung and bronchus / 肺和支气管的切除术
33 / Other operations on lung and bronchus / 肺和支气管的其他手术
34 / Operations on chest wall, pleura, mediastinum, and diaphragm / 胸壁、胸膜、纵隔和横膈的手术
# 7 / Operations on the cardiovascular system / 心血管系统手术
35 / Operations on valves and septa of heart / 心脏瓣膜和间隔的手术
36 / Operations on vessels of heart / 心脏血管的手术
36.06 / Insertion of non-drug-eluting coronary artery stent / 非药物洗脱冠状动脉支架置入
36.07 / Insertion of drug-eluting coronary artery stent / 药物洗脱冠状动脉支架置入
36.1 / Bypass anastomosis for heart revascularization / 搭桥吻合术，为心肌血管再形成
37 / Other operations on heart and pericardium / 心脏和心包的其他手术
38 / Incision, excision, and occlusion of vessels / 血管的切开术、切除术和闭合术
39 / Other operations on vessels / 血管的其他手术
39.74 / Endovascular removal of obstruction from head and neck vessels / 头和颈部血管梗阻的血管内去除术
# 8 / Operations on the hemic and lymphatic system / 血液和淋巴系统手术
40 / Operations on lymphatic system / 淋巴系统的手术
41 / Operations on bone marrow and spleen / 骨髓和脾的手术
# 9 / Operations on the digestive system / 消化系统手术
42 / Operations on esophagus / 食管的手术
43 / Incision and excision of stomach / 胃的切开术和切除术
44 / Other operations on stomach / 胃的其他手术
45 / Incision, excision, and anastomosis of intestine / 肠的切开术、切除术和吻合术
46 / Other operations on intestine / 肠的其他手术
47 / Operations on appendix / 阑尾的手术
47.0 / Appendectomy / 阑尾切除术
48 / Operations on rectum, rectosigmoid, and perirectal tissue / 直肠、直肠乙状结肠和直肠周围组织的手术
49 / Operations on anus / 肛门的手术
50 / Operations on liver / 肝的手术
51 / Operations on gallbladder and biliary tract / 胆囊和胆管的手术
51.22 / Cholecystectomy / 胆囊切除术
51.23 / Laparoscopic cholecystectomy / 腹腔镜下胆囊切除术
52 / Operations on pancreas / 胰腺的手术
53 / Repair of hernia / 疝修补术
54 / Other operations on abdominal region / 腹部其他手术
# 10 / Operations on the urinary system / 泌尿系统手术
55 / Operations on kidney / 肾的手术
56 / Operations on ureter / 输尿管的手术
57 / Operations on urinary bladder / 膀胱的手术
58 / Operations on urethra / 尿道的手术
59 / Other operations on urinary tract / 泌尿道的其他手术
# 11 / Operations on the male genital organs / 男性生殖器官手术
60 / Operations on prostate and seminal vesicles / 前列腺和精囊的手术
61 / Operations on scrotum and tunica vaginalis / 阴囊和睾丸鞘膜的手术
62 / Operations on testes / 睾丸的手术
63 / Operations on spermatic cord, epididymis, and vas deferens / 精索、附睾和输精管的手术
64 / Operations on penis / 阴茎的手术
# 12 / Operations on the female genital organs / 女性生殖器官的手术
65 / Operations on ovary / 卵巢的手术
66 / Operations on fallopian tubes / 输卵管的手术
67 / Operations on cervix / 宫颈的手术
68 / Other incision and excision of uterus / 子宫的其他切开术和切除术
69 / Other operations on uterus and supporting structures / 子宫和支持结构的其他手术
70 / Operations on vagina and cul-de-sac / 阴道和直肠子宫陷凹的手术
71 / Operations on vulva and perineum / 外阴和会阴的手术
# 13 / Obstetrical procedures / 产科操作
72 / Forceps, vacuum, and breech delivery / 产钳、胎头吸引和臀位分娩
73 / Other procedures inducing or assisting delivery / 其他引产或助产操作
74 / Cesarean section and removal of fetus, other or not specified / 剖宫产和胎儿取出术，其他或未特指
74.0 / Classical cesarean section / 古典式剖宫产
74.1 / Low cervical cesarean section / 低位子宫下段剖宫产
74.2 / Extraperitoneal cesarean section / 腹膜外剖宫产
74.4 / Cesarean section of other specified type / 其他特指类型的剖宫产
74.99 / Other cesarean section of unspecified type / 其他未特指类型的剖宫产
75 / Other obstetric operations / 其他产科手术
# 14 / Operations on the musculoskeletal system / 肌肉骨骼系统手术
76 / Operations on facial bones and joints / 面骨和关节的手术
77 / Incision, excision, and division of other bones / 其他骨的切开术、切除术和切断术
78 / Other operations on bones, except facial bones / 骨的其他手术，除外面骨
79 / Reduction of fracture and dislocation / 骨折和脱位的复位术
80 / Incision and excision of joint structures / 关节结构的切开术和切除术
81 / Repair and plastic operations on joint structures / 关节结构的修补术和成形术
81.51 / Total hip replacement / 全髋关节置换
81.52 / Partial hip replacement / 部分髋关节置换
81.54 / Total knee replacement / 全膝关节置换
82 / Operations on muscle, tendon, and fascia of hand / 手的肌、腱和筋膜的手术
83 / Operations on muscle, tendon, fascia, and bursa, except hand / 肌、腱、筋膜和黏液囊的手术，除外手
84 / Other procedures on musculoskeletal system / 肌肉骨骼系统的其他操作
# 15 / Operations on the integumentary system / 体被系统手术
85 / Operations on the breast / 乳房的手术
86 / Operations on skin and subcutaneous tissue / 皮肤和皮下组织的手术
# 16 / Miscellaneous diagnostic and therapeutic procedures / 各种诊断性和治疗性操作
87 / Diagnostic radiology / 诊断性放射学
88 / Other diagnostic radiology and related techniques / 其他诊断性放射学和有关技术
89 / Interview, evaluation, consultation, and examination / 会谈、评估、会诊和检查
90 / Microscopic examination, part one / 显微镜检查Ⅰ
91 / Microscopic examination, part two / 显微镜检查Ⅱ
92 / Nuclear medicine / 核医学
93 / Physical therapy, respiratory therapy, rehabilitation, and related procedures / 物理治疗、呼吸治疗、康复和有关操作
94 / Procedures related to the psyche / 与精神有关的操作
95 / Ophthalmologic and otologic diagnosis and treatment / 眼科和耳科的诊断和治疗
96 / Nonoperative intubation and irrigation / 非手术性插管和冲洗
97 / Replacement and removal of therapeutic appliances / 治疗性器具的置换和去除
98 / Nonoperative removal of foreign body or calculus / 非手术性去除异物或结石
99 / Other nonoperative procedures / 其他非手术性操作
99.10 / Injection or infusion of thrombolytic agent / 血栓溶解药的注射或输注
"""
"""A line of a chapter begins with #; the others are codes: code, English, Chinese."""


@cache
def operations() -> CodeSet:
    """Return the operations with the levels ``category`` (two digits) and ``chapter``."""
    codes: list[Code] = []
    categories: list[Code] = []
    chapters: list[Code] = []
    category_of: list[int] = []
    chapter_of: list[int] = []
    for line in LISTING.strip().splitlines():
        name, en, zh = (part.strip() for part in line.removeprefix("#").split("/"))
        code = Code(code=name, label=Label(en=en, zh=zh))
        if line.startswith("#"):
            chapters.append(code)
            continue
        if "." not in name:
            categories.append(code)
        codes.append(code)
        category_of.append(len(categories) - 1)
        chapter_of.append(len(chapters) - 1)
    levels = (
        Level(
            name="category",
            label=Label(en="Category", zh="类目"),
            groups=tuple(categories),
            group_of=tuple(category_of),
        ),
        Level(name="chapter", label=Label(en="Chapter", zh="章"), groups=tuple(chapters), group_of=tuple(chapter_of)),
    )
    return CodeSet(name="icd-9-cm-3", version=VERSION, codes=tuple(codes), levels=levels, folds=True)
